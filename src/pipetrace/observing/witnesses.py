"""Which witnesses an observer has beside that of calls."""

from __future__ import annotations

from pipetrace.observing.copies import Copying
from pipetrace.observing.layers import Layering
from pipetrace.observing.norms import Norming
from pipetrace.observing.outputs import Outputs
from pipetrace.observing.witness import Witness
from pipetrace.training.recorder import Recorder


def witnesses(recorder: Recorder) -> list[Witness]:
    """Return new witnesses of one recording, in the order in which they hear and state."""
    return [Norming(), Layering(), Outputs(), Copying()]
