"""Sums over batches, kept on their device until somebody asks."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import msgspec
import torch

from pipetrace.records import Score
from pipetrace.training import scores
from pipetrace.training.scores import LossCall


class Seen(msgspec.Struct, eq=False):
    """One forward of a root: whether a backward went through it, and what the loss was given."""

    # Made at every step: a struct is made faster than an object of a plain class.
    model: int
    mode: bool
    rows: int
    step: int
    key: Any
    trained: bool = False
    turn: int = 0
    """How many backwards had begun before it; -1 where it is the only one of a step."""
    again: bool = False
    """Its rows were in a forward of the same step before it."""
    loss: torch.Tensor | None = None
    """What the backward through it started from, where that is known."""
    part: bool = False
    """Another forward has its backward's loss and rows; of this one only accuracy counts."""
    site: tuple[int, ...] = ()
    """The lines of the user's code that an evaluation's forward was called from."""
    name: str = ""
    """The word that the loop around it says, `val` for example."""
    used: LossCall | None = None
    more: tuple[LossCall, ...] = ()
    """Other calls of loss functions before the next forward."""
    assumed: bool = False
    """The loss function was called by us, not by the program."""
    output: Any = None
    target: torch.Tensor | None = None
    inputs: torch.Tensor | None = None
    """A few columns of its rows, as `rows.columns` takes them."""
    shape: tuple[int, ...] = ()
    """Of one row."""
    source: Hashable = None
    """The loader that gave an evaluation's rows, or where they lie."""

    def reached(self, *_: Any) -> None:
        """Hear from autograd that a backward went through the output."""
        self.trained = True


@dataclass
class Tally:
    """Loss and accuracy of many forwards, folded in as they come.

    The loss is the mean over batches weighted by their rows; the accuracy counts predictions.
    """

    rows: int = 0
    by: str = ""
    """`loop` where the program called the loss function, `pipetrace` where we did."""
    _loss: float = 0.0
    _weight: int = 0
    _right: int = 0
    _counted: int = 0
    _blind: bool = False
    """Some predictions could not be counted: then no accuracy is stated."""

    def fold(self, forwards: list[Seen]) -> None:
        """Add forwards."""
        calls = [seen.used for seen in forwards if seen.used is not None]
        if calls:
            self.by = "pipetrace" if any(seen.assumed for seen in forwards) else "loop"
        whole = [seen for seen in forwards if not seen.part]
        self.rows += sum(seen.rows for seen in whole)
        pairs = [pair for seen in whole if (pair := _loss(seen)) is not None]
        if pairs:
            values, weights = zip(*pairs, strict=True)
            self._loss += sum(v * w for v, w in zip(read(list(values)), weights, strict=True))
            self._weight += sum(weights)
        if calls:
            self._count([call for call in calls if call.unchanged()], len(calls))

    def score(self) -> Score:
        """Return what the sums say."""
        known = self._counted and not self._blind
        return Score(
            rows=self.rows,
            loss=self._loss / self._weight if self._weight else None,
            accuracy=self._right / self._counted if known else None,
        )

    def _count(self, calls: list[LossCall], expected: int) -> None:
        self._blind = self._blind or len(calls) < expected
        if not calls:
            return
        name, ignore = calls[0].name, calls[0].options.get("ignore_index", -100)
        try:
            if any(call.name != name for call in calls):
                raise TypeError
            inputs = torch.cat([call.input for call in calls])
            targets = torch.cat([call.target for call in calls])
            counts = [scores.count(name, inputs, targets, ignore)]
        except (RuntimeError, TypeError):  # batches of several kinds or shapes
            counts = [scores.correct(call) for call in calls]
        for pair in counts:
            if pair is not None:
                self._right += pair[0]
                self._counted += pair[1]


def _loss(seen: Seen) -> tuple[torch.Tensor, int] | None:
    """Return the loss of a forward, and its weight: the rows that the loss function was given."""
    call = seen.used
    if call is None:
        return None if seen.loss is None else (seen.loss, seen.rows)
    value = call.value if seen.loss is None else seen.loss
    return (value if value.dim() == 0 else value.mean()), call.rows


def read(values: list[torch.Tensor]) -> list[float]:
    """Read scalar tensors: one by one on the CPU, with one transfer from another device."""
    if values and not values[0].is_cpu:
        try:
            return [float(number) for number in torch.stack(values).tolist()]
        except RuntimeError:  # on several devices
            pass
    return [float(value.item()) for value in values]
