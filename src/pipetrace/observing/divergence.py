"""Every backward begins at a loss: was it a number, and what came of the weights if not?"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence

import torch

from pipetrace.capture import places
from pipetrace.observing.witness import Witness
from pipetrace.records import Diverged, Fact

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
        self._optimizers: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Keep the loss; it is read at the end, which costs a device nothing now."""
        if len(self._losses) < _MOST and roots[0].dim() == 0:
            spot = places.caller(sys._getframe(1))
            if spot is not None:
                self._spots.setdefault((id(spot.code), spot.line), (len(self._losses), spot))
            self._losses.append(roots[0].detach().clone())
            self._steps.append(self._stepped)

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Count the steps."""
        self._stepped += 1
        self._optimizers.add(optimizer)

    def facts(self) -> Iterator[Fact]:
        """State from which loss on it was none, where one was."""
        bad = [index for index, loss in enumerate(self._losses) if not bool(loss.isfinite())]
        if not bad:
            return
        spots = [spot for index, spot in self._spots.values() if index <= bad[0]]
        parameters = {
            id(parameter): parameter
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        broken = sum(not bool(each.isfinite().all()) for each in parameters.values())
        yield Diverged(
            place=spots[-1].place() if spots else None, first=bad[0], bad=len(bad),
            backwards=len(self._losses), steps=self._stepped - self._steps[bad[0]],
            broken=broken, parameters=len(parameters),
        )  # fmt: skip
