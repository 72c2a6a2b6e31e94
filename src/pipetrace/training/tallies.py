"""Sums over batches, kept on their device until somebody asks."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch

from pipetrace.records import Score
from pipetrace.training import scores
from pipetrace.training.scores import LossCall
from pipetrace.training.weights import by_class


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
    uncounted: float | None = None
    """Weight of a row, where the loss was kept and what the loss function was given was not."""
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

    The loss is the mean over batches weighted as PyTorch's own mean is; the accuracy counts
    predictions.
    """

    rows: int = 0
    by: str = ""
    """`loop` where the program called the loss function, `pipetrace` where we did."""
    _loss: float = 0.0
    _weight: float = 0.0
    _right: int = 0
    _counted: int = 0
    _blind: bool = False
    """Some predictions could not be counted: then no accuracy is stated."""
    _ratios: set[float | None] = field(default_factory=set)

    @property
    def per_row(self) -> float | None:
        """How much each row weighs in the mean, where that was the same in all that was folded."""
        return next(iter(self._ratios)) if len(self._ratios) == 1 else None

    def fold(self, forwards: list[Seen]) -> None:
        """Add forwards."""
        calls = [seen.used for seen in forwards if seen.used is not None]
        if calls:
            self.by = "pipetrace" if any(seen.assumed for seen in forwards) else "loop"
        self.rows += sum(seen.rows for seen in forwards if not seen.part)
        usable = [call for call in calls if call.unchanged()]
        weights = _weights(calls, self._count(usable, len(calls))) if calls else []
        given = iter(weights)
        self._blind = self._blind or any(seen.uncounted is not None for seen in forwards)
        self._ratios |= {_ratio(call, weight) for call, weight in zip(calls, weights, strict=True)}
        pairs = [
            (seen, seen.rows * (seen.uncounted or 1) if seen.used is None else next(given))
            for seen in forwards
        ]
        known = [(_loss(seen), weight) for seen, weight in pairs if not seen.part]
        self._add([(value, weight) for value, weight in known if value is not None])

    def score(self) -> Score:
        """Return what the sums say."""
        known = self._counted and not self._blind
        return Score(
            rows=self.rows,
            loss=self._loss / self._weight if self._weight else None,
            accuracy=self._right / self._counted if known else None,
        )

    def _add(self, losses: list[tuple[torch.Tensor, torch.Tensor | float]]) -> None:
        """Add losses and their weights; a batch in which no target counts adds nothing."""
        scalars = [weight for _, weight in losses if isinstance(weight, torch.Tensor)]
        numbers = read([value for value, _ in losses] + scalars)
        read_weights = iter(numbers[len(losses) :])
        for value, (_, weight) in zip(numbers, losses, strict=False):
            share = next(read_weights) if isinstance(weight, torch.Tensor) else weight
            if share:
                self._loss += value * share
                self._weight += share

    def _count(self, calls: list[LossCall], expected: int) -> bool:
        """Count right predictions; return whether all targets were among those counted."""
        self._blind = self._blind or len(calls) < expected
        if not calls:
            return False
        name, ignore = calls[0].name, calls[0].options.get("ignore_index", -100)
        try:
            if any(call.name != name or call.digest is not None for call in calls):
                raise TypeError
            inputs, targets = calls[0].input, calls[0].target
            if len(calls) > 1:
                inputs = torch.cat([call.input for call in calls])
                targets = torch.cat([call.target for call in calls])
            counts = [scores.count(name, inputs, targets, ignore)]
        except (RuntimeError, TypeError):  # batches of several kinds or shapes
            counts = [scores.correct(call) for call in calls]
        for pair in counts:
            if pair is not None:
                self._right += pair[0]
                self._counted += pair[1]
        found = [pair[1] for pair in counts if pair is not None]
        total = sum(call.target.numel() for call in calls)
        return len(calls) == expected and sum(found) == total


def _ratio(call: LossCall, weight: torch.Tensor | int) -> float | None:
    return None if isinstance(weight, torch.Tensor) or not call.rows else weight / call.rows


def _weights(calls: list[LossCall], whole: bool) -> list[torch.Tensor | int]:
    """Return the calls' weights in the mean; to look at targets costs, and is often needless."""
    alike = whole and by_class(calls[0].name, calls[0].target)
    if alike and all(c.counted is None and c.options.get("weight") is None for c in calls):
        return [call.target.numel() for call in calls]
    return [call.weight() for call in calls]


def _loss(seen: Seen) -> torch.Tensor | None:
    """Return the loss of a forward: what its backward started from, else the loss function's."""
    known = None if seen.used is None else seen.used.value
    return known if seen.loss is None else seen.loss


def read(values: list[torch.Tensor]) -> list[float]:
    """Read scalar tensors: one by one on the CPU, with one transfer from another device."""
    if values and not values[0].is_cpu:
        try:
            return [float(number) for number in torch.stack(values).tolist()]
        except RuntimeError:  # on several devices
            pass
    return [float(value.item()) for value in values]
