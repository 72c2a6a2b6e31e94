"""All trials, in the order in which they are made."""

from __future__ import annotations

from pipetrace.probes.trials.repeating import asleep, repeats, strangers
from pipetrace.probes.trials.trial import Trial

TRIALS: tuple[Trial, ...] = (strangers, repeats, asleep)
