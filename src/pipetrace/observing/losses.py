"""What a loss function was really given: whose output, in which shape, and what made it."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from pipetrace.capture import places
from pipetrace.observing import pairwise
from pipetrace.observing.returned import Mark, Met, Returned, made_by
from pipetrace.observing.witness import Made, Witness
from pipetrace.records import Fact, Loss
from pipetrace.training.signals import original

_KINDS = 64
"""Kinds of calls of loss functions that are told apart."""
_LOOKS = 4
"""Inputs of each kind that are looked at, and of each so many rows."""
_ROWS = 16
_PLACED = 3
"""Targets are compared with their own places where a batch has so many rows or more."""
ROWWISE = frozenset({"cross_entropy", "nll_loss", "kl_div"})
"""Functions that take a distribution for each row."""


class Given(NamedTuple):
    """One call of a loss function.

    Attributes:
        kind: The id of its `Loss`.
        mark: The model's call whose output it took.
        turn: Which of the loss functions that met this output it was, from 0.
        direct: Whether it took what the model returned, views apart.
        prediction: What it took.
        target: What it was compared with.
        kwargs: What else it was told.
    """

    kind: int
    mark: Mark
    turn: int
    direct: bool
    prediction: torch.Tensor
    target: torch.Tensor
    kwargs: dict[str, Any]


class Kind:
    """Calls of a loss function that are alike, while they are counted."""

    def __init__(self, id: int, name: str, spot: places.Spot | None) -> None:
        self.id, self.name = id, name
        self.place = None if spot is None else spot.place()
        self.mark: Mark | None = None
        self.direct = self.trained = False
        self.made: tuple[str, ...] = ()
        self.shapes: tuple[tuple[int, ...], ...] = ((), (), ())
        self.reduction = "mean"
        self.value: torch.Tensor | None = None
        self.aligned: torch.Tensor | None = None
        self.count = self.looked = self.probabilities = self.normalised = self.positive = 0
        self.placed = 0
        self.total: float | None = None

    def told(self) -> Loss:
        """Return what is known of them."""
        prediction, target, combined = self.shapes
        return Loss(
            id=self.id, function=self.name, place=self.place,
            model=-1 if self.mark is None else self.mark.root.id,
            calls=-1 if self.mark is None else self.mark.turn.kind, direct=self.direct,
            made=self.made, count=self.count, trained=self.trained, reduction=self.reduction,
            prediction=prediction, target=target, combined=combined, value=_number(self.value),
            aligned=_number(self.aligned), positions=0 < self.placed == self.looked,
            looked=self.looked, probabilities=self.probabilities, normalised=self.normalised,
            positive=self.positive, total=self.total,
        )  # fmt: skip


class Losses(Witness):
    """The witness of loss functions, those of PyTorch and those computed by hand.

    Attributes:
        given: The call that was heard last; None where it told no prediction and target.
    """

    def __init__(self, returned: Returned) -> None:
        self.given: Given | None = None
        self._returned = returned
        self._kinds: dict[Hashable, Kind] = {}

    def called(self, made: Made, output: Any) -> None:
        """Forget the loss of the batch before."""
        self.given = None

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Tell of what kind the call is, and look at its input."""
        self.given = None
        rest = dict(kwargs)
        prediction = args[0] if args else rest.pop("input", None)
        target = args[1] if len(args) > 1 else rest.pop("target", None)
        if not isinstance(prediction, torch.Tensor) or not isinstance(target, torch.Tensor):
            return
        met = self._returned.find(prediction)
        kind = self._kind(name, met)
        if kind is None:
            return
        kind.count += 1
        if kind.count == 1:
            self._first(kind, met, prediction, target, rest, result)
        if kind.looked < _LOOKS and name in ROWWISE and prediction.dim():
            _look(kind, prediction, target)
        if met is not None:
            self.given = Given(kind.id, met.mark, met.mark.losses, met.direct, prediction, target,
                               rest)  # fmt: skip
            met.mark.losses += 1

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Look in the graph for a prediction that met its target by hand, each with each."""
        found = pairwise.found(roots[0])
        if found is None:
            return
        kind = self._kind("", Met(found.mark, direct=True))
        if kind is None:
            return
        kind.count += 1
        if kind.count == 1:
            kind.mark, kind.direct, kind.trained = found.mark, True, True
            kind.shapes = found.prediction, (), found.combined
            kind.value, kind.aligned = roots[0].detach().clone(), None

    def facts(self) -> Iterator[Fact]:
        """State every kind."""
        for kind in self._kinds.values():
            yield kind.told()

    def _kind(self, name: str, met: Met | None) -> Kind | None:
        spot = places.caller(sys._getframe(1))
        line = None if spot is None else (id(spot.code), spot.line)
        key = name, line, None if met is None else met.mark.turn.kind
        kind = self._kinds.get(key)
        if kind is None and len(self._kinds) < _KINDS:
            kind = self._kinds[key] = Kind(len(self._kinds), name, spot)
        return kind

    def _first(
        self, kind: Kind, met: Met | None, prediction: torch.Tensor, target: torch.Tensor,
        rest: dict[str, Any], result: Any,
    ) -> None:  # fmt: skip
        kind.mark = None if met is None else met.mark
        kind.direct = met is not None and met.direct
        kind.trained, kind.made = prediction.requires_grad, made_by(prediction)
        kind.reduction = str(rest.get("reduction", "mean"))
        if isinstance(result, torch.Tensor) and result.dim() == 0:
            kind.value = result.detach().clone()
        shapes = tuple(prediction.shape), tuple(target.shape)
        kind.shapes = (*shapes, ())
        if kind.name in pairwise.BROADCASTING and shapes[0] != shapes[1]:
            kind.shapes = (*shapes, tuple(torch.broadcast_shapes(*shapes)))
            if prediction.numel() == target.numel():
                kind.aligned = original(kind.name)(prediction.detach(),
                                                   target.reshape(shapes[0]), **rest)  # fmt: skip


def _look(kind: Kind, prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Look whether the rows of an input are distributions, or the logarithms of some."""
    kind.looked += 1
    dim = 1 if prediction.dim() > 1 and kind.name != "kl_div" else -1
    rows = prediction.detach()[:_ROWS] if prediction.dim() > 1 else prediction.detach()
    rows = rows.float()
    near = 0.02 if prediction.element_size() < 4 else 1e-3
    exponentials = rows.exp().sum(dim)
    kind.total = float(exponentials.mean())
    kind.normalised += bool(((exponentials - 1).abs() < near).all())
    several = rows.shape[dim] > 1
    nonnegative = bool((rows >= 0).all())
    kind.probabilities += (
        several and nonnegative and bool(((rows.sum(dim) - 1).abs() < near).all())
    )
    kind.positive += bool((rows > near).any())
    placed = target.dim() == 1 and len(target) >= _PLACED and not target.is_floating_point()
    kind.placed += placed and len(target.unique()) * 2 >= len(target) == prediction.shape[dim]


def _number(tensor: torch.Tensor | None) -> float | None:
    return None if tensor is None or tensor.dim() else float(tensor)
