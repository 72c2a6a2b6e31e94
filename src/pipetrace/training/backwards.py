"""A backward tells the loss, and which forwards were of one batch: its rows count once."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from itertools import groupby, zip_longest
from typing import Any

import torch

from pipetrace.capture import trees
from pipetrace.records import Notice
from pipetrace.training.scores import LossCall
from pipetrace.training.tallies import Seen, read

_SCALES = ("MulBackward0", "DivBackward0")
_NUMBERS = {torch.float64, torch.int64}
"""The types of Python's numbers in a graph; a GradScaler's scale is a tensor of another."""


class Backwards:
    """What each backward started from, until its forwards are folded into an epoch.

    The loss of a backward is the loss function's result where that is all it is, else the sum of
    terms that it started from; a gradient scaler is undone, and the division by the number of
    micro-batches of a step. What a second optimizer does in an epoch on losses of its own (a
    generator's, an actor's) is not added up with the first's.
    """

    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []
        """Of each backward since the last step."""
        self.apart = False
        """The last step was a second optimizer's, on losses of its own."""
        self.simple = False
        """The last step came after one forward that learns and one backward."""
        self.alone: Seen | None = None
        """The forward of a step that is expected to be simple, until its backward."""
        self._forwards = 0
        self._turn = self._since = 0
        """Backwards until now, and until the last step."""
        self._results: list[tuple[torch.Tensor, torch.Tensor | int]] = []
        self._values: dict[int, torch.Tensor] = {}
        self._accumulates = False
        self._whole: dict[int, torch.Tensor] = {}
        """Values not divided by a number, of backwards since the last step."""
        self._fresh = self._called = False
        """Whether a forward (on rows new in this step) has run since the last backward."""
        self._places: dict[Any, weakref.ref[torch.Tensor]] = {}
        self._leader: int | None = None
        self._others: set[int] = set()

    def forward(self, seen: Seen, first: torch.Tensor | None) -> None:
        """A forward has run; on the same rows as one before it in this step it counts no more."""
        self._not_alone()
        self._forwards += 1
        seen.turn = self._turn
        self._called = True
        seen.again = first is not None and self._again(seen.model, first)
        self._fresh = self._fresh or not seen.again

    def loss_called(self, call: LossCall) -> None:
        """A loss function has returned a value that a backward may start from."""
        summed = call.options.get("reduction") == "sum"
        self._results.append((call.value, call.counted if summed and call.counted else 1))

    def expected(self, seen: Seen) -> None:
        """A backward begins in a step of which nothing but the loss is kept."""
        if seen.loss is not None:
            self.losses.append(seen.loss)
        self.alone = None
        self._results.clear()

    def begin(self, root: torch.Tensor, direct: bool) -> None:
        """A backward begins; `direct` says that it starts from a loss function's very result."""
        results, self._results = self._results, []
        alone = self.alone
        if direct and alone is not None and len(results) < 2:
            if results:
                alone.loss = results[0][0]
            if alone.loss is not None and alone.loss.dim() == 0:
                self.losses.append(alone.loss)
                self.alone = None
                return
        direct = direct and len(results) == 1
        self._not_alone()
        if direct:
            value, whole = results[0][0], None
        else:
            value, whole = _loss(root, results)
        known = value if value.dim() == 0 else None
        if known is not None and (self._fresh or not self._called):
            self.losses.append(known)
        if not self._called and self._turn > self._since:
            # Another backward through the same forwards: the loss is the sum of both.
            before = self._values.get(self._turn - 1)
            if known is not None:
                self._values[self._turn - 1] = known if before is None else before + known
            return
        if known is not None and self._called:
            self._values[self._turn] = known
            if whole is not None:
                self._whole[self._turn] = whole
        self._turn += 1
        self._fresh = self._called = False

    def stepped(self, optimizer: torch.optim.Optimizer | None) -> None:
        """An optimizer has stepped, or a hand."""
        self._not_alone()
        self.simple, self._forwards = self._forwards <= 1 >= self._turn - self._since, 0
        turns, self._since = range(self._since, self._turn), self._turn
        if self._leader is None:
            self._leader = id(optimizer)
        self.apart = self._leader != id(optimizer) and len(turns) > 0
        if self.apart:
            self._others.update(turns)
        # The last step of a pass may have fewer micro-batches than its loss is divided by.
        self._accumulates = self._accumulates or (len(turns) > 1 and bool(self._whole))
        if self._accumulates:
            self._values.update(self._whole)
        self._whole.clear()
        self._places.clear()

    def closed(self) -> None:
        """An epoch has ended: the next one may be led by another optimizer."""
        self._leader = None
        self._others.clear()
        self._values = {k: v for k, v in self._values.items() if k >= self._since}

    def counted(self, trained: list[Seen]) -> list[Seen]:
        """Return the forwards that count, and give each backward's loss to one of its own."""
        found = [seen for seen in trained if seen.turn < 0]
        if len(found) == len(trained):
            return found
        trained = [seen for seen in trained if seen.turn >= 0]
        for turn, group in groupby(trained, key=lambda seen: seen.turn):
            value = self._values.pop(turn, None)
            if self._accumulates:  # of a step in progress
                value = self._whole.pop(turn, value)
            own = [seen for seen in group if not seen.again]
            if turn in self._others:
                self._others.discard(turn)
                continue
            if len(own) < 2:
                for seen in own:
                    seen.loss = value
                found += own
                continue
            first = next((seen for seen in own if seen.used is not None), own[0])
            first = next(seen for seen in own if seen.model == first.model)
            first.loss = value
            first.rows = max(seen.rows for seen in own if seen.model == first.model)
            alike = [seen for seen in own if seen.model == first.model]
            # Where two forwards come before two losses, the last one was given both.
            calls = [call for seen in alike if seen.used for call in (seen.used, *seen.more)]
            for seen, call in zip_longest(alike, calls[: len(alike)]):
                seen.part, seen.used = seen is not first, call
            found += alike
        return found

    def _not_alone(self) -> None:
        """Treat the step in progress like any other: it is not what was expected."""
        if self.alone is not None:
            self.alone.turn, self.alone = self._turn, None
            self._fresh = self._called = True
            self._forwards += 1

    def _again(self, model: int, first: torch.Tensor) -> bool:
        owner = first if first._base is None else first._base
        try:
            place = (model, first.data_ptr(), first.shape, first._version)
        except RuntimeError:
            return False
        known = self._places.get(place)
        if known is not None and known() is owner:
            return True
        self._places[place] = weakref.ref(owner)
        return False


def node_of(output: Any) -> Any:
    """Return the graph node behind a forward's output, where there is one."""
    if isinstance(output, torch.Tensor):
        return output.grad_fn
    nodes = (tensor.grad_fn for _, tensor in trees.leaves(output))
    return next((node for node in nodes if node is not None), None)


def apart(training: int) -> Notice:
    """Say whose loss is told where optimizers step in turn, each after a backward of its own."""
    return Notice(
        id=f"optimizers-{training}",
        text=f"Training {training + 1} has several optimizers that step on losses of their own. "
        "Its steps are those of all; the rows, the loss and the accuracy of an epoch are those of "
        "the optimizer that steps first in it.",
    )


def terms(training: int, first: Seen) -> Iterator[Notice]:
    """Say so where the loop steps on more, or on something else, than one loss function."""
    if first.used is None or first.loss is None:
        return
    both, one = read([first.loss, first.used.value.mean()])
    if math.isfinite(both) and not math.isclose(both, one, rel_tol=1e-3):
        yield Notice(
            id=f"terms-{training}",
            text=f"Training {training + 1} does not step on `{first.used.name}` alone: in its "
            f"first batch that was {one:.4g}, and the loss of the loop {both:.4g}. Fixed rows and "
            f"evaluations are scored with `{first.used.name}` alone.",
        )


def _loss(
    root: torch.Tensor, results: list[tuple[torch.Tensor, torch.Tensor | int]]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a backward's loss, and the same not divided by a number, where it was."""
    value = whole = root.detach()
    numbered, node = False, root.grad_fn
    while (found := _constant(node)) is not None:
        constant, divides, node = found
        number = constant.dtype in _NUMBERS
        if divides and not number:
            break
        whole = whole * constant if divides else whole / constant
        if number:
            numbered = True
        else:
            value = value / constant
    # The last: an evaluation that forgot `no_grad` may have left results of its own.
    rows = results[-1][1] if results else 1
    if rows > 1:
        value, whole = value / rows, whole / rows
    return value, whole if numbered else None


def _constant(node: Any) -> tuple[torch.Tensor, bool, Any] | None:
    """Return the number that a graph's last node multiplied with or divided by, and what came."""
    kind = type(node).__name__
    if kind not in _SCALES:
        return None
    (one, _), (other, _) = node.next_functions
    try:
        if other is None:
            constant, inner = node._saved_other, one
        elif one is None and kind == "MulBackward0":
            constant, inner = node._saved_self, other
        else:
            return None
    except RuntimeError:  # freed by an earlier backward
        return None
    scalar = constant is not None and constant.dim() == 0
    return (constant, kind == "DivBackward0", inner) if scalar else None
