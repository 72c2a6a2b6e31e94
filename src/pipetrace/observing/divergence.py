"""Every backward begins at a loss: told is where it was no number, and what came of the weights."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import torch

from pipetrace.capture import places
from pipetrace.observed import Diverged
from pipetrace.observing.witness import Witness
from pipetrace.records import Fact

_MOST = 10_000
"""Backwards that are looked at."""


class Divergence(Witness):
    """The witness of losses that are not finite."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._steps: list[int] = []
        self._spots: dict[tuple[int, int], tuple[int, places.Spot]] = {}
        """Each line's first backward."""
        self._stepped = 0
        self._broken: tuple[int, int] | None = None
        """Parameters that were not finite after the first step on such a loss, and of how many."""

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Keep the loss; it is read at the end, which costs a device nothing now."""
        if len(self._losses) < _MOST and roots[0].dim() == 0:
            spot = places.caller(sys._getframe(1))
            if spot is not None:
                self._spots.setdefault((id(spot.code), spot.line), (len(self._losses), spot))
            self._losses.append(roots[0].detach().clone())
            self._steps.append(self._stepped)

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Count the steps, and look at the parameters after the first on a loss that is none."""
        self._stepped += 1
        last = self._losses[-1] if self._losses else None
        # Elsewhere than on the CPU, looking would have the program wait for its device.
        if self._broken is not None or last is None or last.device.type != "cpu":
            return
        if not math.isfinite(last.item()):
            groups = [group["params"] for group in optimizer.param_groups]
            finite = [bool(each.isfinite().all()) for group in groups for each in group]
            self._broken = finite.count(False), len(finite)

    def facts(self) -> Iterator[Fact]:
        """State from which loss on it was none, where one was."""
        bad = [index for index, loss in enumerate(self._losses) if not bool(loss.isfinite())]
        if not bad:
            return
        spots = [spot for index, spot in self._spots.values() if index <= bad[0]]
        broken, parameters = self._broken or (0, 0)
        yield Diverged(
            place=spots[-1].place() if spots else None, first=bad[0], bad=len(bad),
            backwards=len(self._losses), steps=self._stepped - self._steps[bad[0]],
            broken=broken, parameters=parameters,
        )  # fmt: skip
