"""Which witnesses an observer has beside that of calls."""

from __future__ import annotations

from pipetrace.observing.averages import Averages
from pipetrace.observing.clipping import Clipping
from pipetrace.observing.copies import Copying
from pipetrace.observing.divergence import Divergence
from pipetrace.observing.layers import Layering
from pipetrace.observing.losses import Losses
from pipetrace.observing.norms import Norming
from pipetrace.observing.optimizers import Optimizers
from pipetrace.observing.outputs import Outputs
from pipetrace.observing.padding import Padding
from pipetrace.observing.pairs import Pairing
from pipetrace.observing.rates import Scheduling
from pipetrace.observing.returned import Returned
from pipetrace.observing.shift import Shifting
from pipetrace.observing.stepping import Stepping
from pipetrace.observing.wiring import Wiring
from pipetrace.observing.witness import Witness
from pipetrace.training.recorder import Recorder


def witnesses(recorder: Recorder) -> list[Witness]:
    """Return new witnesses of one recording, in the order in which they hear and state."""
    optimizers, returned = Optimizers(), Returned()
    losses = Losses(returned)
    # The first counts steps when all have looked at what an optimizer is about to use.
    return [
        Stepping(recorder, optimizers),
        Scheduling(recorder, optimizers),
        Clipping(recorder, optimizers),
        Wiring(optimizers),
        Norming(),
        Layering(),
        Outputs(),
        Copying(),
        returned,
        losses,
        Pairing(losses),
        Padding(losses),
        Shifting(losses),
        Averages(losses),
        Divergence(),
    ]
