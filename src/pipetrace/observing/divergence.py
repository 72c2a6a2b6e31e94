"""Every backward begins at a loss: told is where it was no number, of what, and what came of it."""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from pipetrace.capture import places, trees
from pipetrace.observed import Diverged
from pipetrace.observing.witness import Made, Witness
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
        self._rate: float | None = None
        self._model: weakref.ref[nn.Module] | None = None
        self._given: list[weakref.ref[torch.Tensor]] = []
        """Of the last forward that a backward may go through."""
        self._before: Diverged | None = None
        """What the first such loss was computed from."""
        self._broken: tuple[int, int] | None = None
        """Parameters that were not finite after the first step on such a loss, and of how many."""

    def about(self, made: Made) -> None:
        """Keep a forward's inputs weakly."""
        if made.graph and self._before is None:
            self._model = weakref.ref(made.model)
            given = trees.tensors((made.args, made.kwargs))
            self._given = [weakref.ref(each) for each in given if each.is_floating_point()]

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Keep the loss; on a device it is read at the end, which costs nothing now."""
        if len(self._losses) >= _MOST or roots[0].dim():
            return
        spot = places.caller(sys._getframe(1))
        if spot is not None:
            self._spots.setdefault((id(spot.code), spot.line), (len(self._losses), spot))
        loss = roots[0].detach().clone()
        self._losses.append(loss)
        self._steps.append(self._stepped)
        if self._before is None and loss.device.type == "cpu" and not math.isfinite(loss.item()):
            self._before = self._looked()

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Count the steps, and look at the parameters after the first on a loss that is none."""
        self._stepped += 1
        rates = [group.get("lr") for group in optimizer.param_groups]
        self._rate = max((rate for rate in rates if isinstance(rate, (int, float))), default=None)
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
        before = self._before
        yield Diverged(
            place=spots[-1].place() if spots else None, first=bad[0], bad=len(bad),
            backwards=len(self._losses), steps=self._stepped - self._steps[bad[0]],
            broken=broken, parameters=parameters, looked=before is not None,
            rows=before.rows if before else 0, row=before.row if before else -1,
            spoiled=before.spoiled if before else 0, rate=before.rate if before else None,
        )  # fmt: skip

    def _looked(self) -> Diverged:
        model = None if self._model is None else self._model()
        own = [] if model is None else list(model.parameters())
        bad: set[int] = set()
        for tensor in (ref() for ref in self._given):
            if tensor is not None and tensor.layout is torch.strided and tensor.numel():
                rows = tensor.reshape(len(tensor) if tensor.dim() else 1, -1)
                # An infinity is meant where a mask is handed over.
                bad.update(rows.isnan().any(1).nonzero().flatten().tolist())
        return Diverged(
            place=None, first=0, backwards=0, bad=0, steps=0, rows=len(bad),
            row=min(bad, default=-1), rate=self._rate,
            spoiled=sum(not bool(each.isfinite().all()) for each in own),
        )  # fmt: skip
