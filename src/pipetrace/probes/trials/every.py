"""All trials, in the order in which they are made."""

from __future__ import annotations

from pipetrace.probes.trials.ignored import ignored
from pipetrace.probes.trials.mixing import mixing
from pipetrace.probes.trials.silenced import silenced
from pipetrace.probes.trials.trial import Trial

TRIALS: tuple[Trial, ...] = (mixing, ignored, silenced)
