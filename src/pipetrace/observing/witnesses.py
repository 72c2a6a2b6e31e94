"""Which witnesses an observer has beside that of calls."""

from __future__ import annotations

from pipetrace.observing.averages import Averages
from pipetrace.observing.divergence import Divergence
from pipetrace.observing.losses import Losses
from pipetrace.observing.padding import Padding
from pipetrace.observing.pairs import Pairing
from pipetrace.observing.returned import Returned
from pipetrace.observing.shift import Shifting
from pipetrace.observing.witness import Witness
from pipetrace.training.recorder import Recorder


def witnesses(recorder: Recorder) -> list[Witness]:
    """Return new witnesses of one recording, in the order in which they hear and state."""
    returned = Returned()
    losses = Losses(returned)
    return [
        returned, losses, Pairing(losses), Padding(losses), Shifting(losses), Averages(losses),
        Divergence(),
    ]  # fmt: skip
