"""All trials, in the order in which they are made."""

from __future__ import annotations

from pipetrace.probes.trials.company import company
from pipetrace.probes.trials.dropping import aliasing, scaling, survival
from pipetrace.probes.trials.ignored import ignored
from pipetrace.probes.trials.mixing import mixing
from pipetrace.probes.trials.recomputing import recomputing
from pipetrace.probes.trials.repeating import asleep, repeats, strangers
from pipetrace.probes.trials.silenced import silenced
from pipetrace.probes.trials.trial import Trial

TRIALS: tuple[Trial, ...] = (
    strangers,
    repeats,
    asleep,
    scaling,
    aliasing,
    survival,
    company,
    recomputing,
    mixing,
    ignored,
    silenced,
)
