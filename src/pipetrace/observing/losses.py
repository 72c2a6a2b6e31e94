"""What a loss function was really given: whose output, in which shape, and what made it."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from pipetrace.capture import places
from pipetrace.observed import Loss
from pipetrace.observing import pairwise
from pipetrace.observing.computed import Computed, computed
from pipetrace.observing.returned import Mark, Met, Returned, made_by, nearest
from pipetrace.observing.witness import Made, Witness
from pipetrace.records import Fact
from pipetrace.training.signals import original

_KINDS = 64
"""Kinds of calls of loss functions that are told apart."""
_LOOKS = 4
"""Inputs of each kind that are looked at, and of each so many rows."""
_ROWS = 16
_PLACED = 3
"""Targets are compared with their own places where a batch has so many rows or more."""
ROWWISE = frozenset({"cross_entropy", "nll_loss", "kl_div", "ctc_loss"})
"""Functions that take a distribution for each row."""


class Given(NamedTuple):
    """One call of a loss function.

    Attributes:
        kind: The id of its `Loss`.
        name: The function's name.
        mark: The model's call whose output it took.
        turn: Which of the loss functions that met this output it was, from 0.
        direct: Whether it took what the model returned, views apart.
        prediction: What it took.
        target: What it was compared with.
        kwargs: What else it was told.
    """

    kind: int
    name: str
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
    """The witness of loss functions: those heard, those in a graph, those computed by hand.

    Attributes:
        given: The call that was heard last; None where it told no prediction and target.
        unheard: Those that only the graph told of, when a backward begins.
    """

    def __init__(self, returned: Returned) -> None:
        self.given: Given | None = None
        self.unheard: list[Given] = []
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
        if isinstance(prediction, torch.Tensor) and isinstance(target, torch.Tensor):
            if len(args) > 2 and isinstance(args[2], torch.Tensor):
                rest["weight"] = args[2]
            shapes = tuple(prediction.shape), tuple(target.shape)
            call = Computed(name, prediction, target, shapes, made_by(prediction.grad_fn),
                            prediction.grad_fn, rest)  # fmt: skip
            self.given = self._take(call, self._returned.find(prediction), result)

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Look in the graph for what was not heard."""
        self.unheard = []
        for call in computed(roots[0]):
            met = None if call.node is None else nearest(call.node)
            # What was heard has met the output already.
            if met is not None and not met.mark.losses:
                given = self._take(call, met, roots[0])
                self.unheard += [] if given is None else [given]
        found = pairwise.found(roots[0])
        kind = None if found is None else self._kind("", Met(found.mark, direct=True))
        if found is not None and kind is not None:
            if not kind.count:
                kind.mark, kind.direct, kind.trained = found.mark, True, True
                kind.shapes = found.prediction, (), found.combined
            kind.count += 1

    def facts(self) -> Iterator[Fact]:
        """State every kind."""
        for kind in self._kinds.values():
            yield kind.told()

    def _take(self, call: Computed, met: Met | None, result: Any) -> Given | None:
        kind = self._kind(call.name, met)
        if kind is None:
            return None
        if not kind.count:
            _begin(kind, met, call, result)
        kind.count += 1
        if kind.looked < _LOOKS and call.name in ROWWISE and call.prediction.dim():
            _look(kind, call.prediction, call.target)
        if met is None:
            return None
        met.mark.losses += 1
        return Given(kind.id, call.name, met.mark, met.mark.losses - 1, met.direct,
                     call.prediction, call.target, call.kwargs)  # fmt: skip

    def _kind(self, name: str, met: Met | None) -> Kind | None:
        spot = places.caller(sys._getframe(1))
        line = None if spot is None else (id(spot.code), spot.line)
        key = name, line, None if met is None else met.mark.turn.kind
        kind = self._kinds.get(key)
        if kind is None and len(self._kinds) < _KINDS:
            kind = self._kinds[key] = Kind(len(self._kinds), name, spot)
        return kind


def _begin(kind: Kind, met: Met | None, call: Computed, result: Any) -> None:
    """Tell what all calls of a kind have in common."""
    kind.mark = None if met is None else met.mark
    kind.direct = met is not None and met.direct
    kind.trained, kind.made = call.prediction.requires_grad, call.made
    kind.reduction = str(call.kwargs.get("reduction", "mean"))
    if isinstance(result, torch.Tensor) and result.dim() == 0:
        kind.value = result.detach().clone()
    prediction, target = call.shapes
    kind.shapes = prediction, target, ()
    if kind.name in pairwise.BROADCASTING and prediction != target:
        kind.shapes = prediction, target, _together(prediction, target)
        if call.prediction.numel() == call.target.numel() == torch.Size(prediction).numel():
            kind.aligned = original(kind.name)(
                call.prediction.detach(), call.target.reshape(prediction), **call.kwargs
            )


def _look(kind: Kind, prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Look whether the rows of an input are distributions, or the logarithms of some."""
    kind.looked += 1
    dim = 1 if prediction.dim() > 1 and kind.name not in ("kl_div", "ctc_loss") else -1
    rows = prediction.detach()[:_ROWS] if prediction.dim() > 1 else prediction.detach()
    rows = rows.float()
    near = 0.02 if prediction.element_size() < 4 else 1e-3
    exponentials = rows.exp().sum(dim)
    kind.total = float(exponentials.mean())
    kind.normalised += bool(((exponentials - 1).abs() < near).all())
    several = rows.shape[dim] > 1
    nonnegative = bool((rows >= 0).all())
    kind.probabilities += several and nonnegative and bool(((rows.sum(dim) - 1).abs() < near).all())
    kind.positive += bool((rows > near).any())
    placed = target.dim() == 1 and len(target) >= _PLACED and not target.is_floating_point()
    kind.placed += placed and len(set(target.tolist())) * 2 >= len(target) == prediction.shape[dim]


def _together(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that two shapes are broadcast to."""
    length = max(len(one), len(other))
    pairs = zip((1,) * (length - len(one)) + one, (1,) * (length - len(other)) + other, strict=True)
    return tuple(map(max, pairs))


def _number(tensor: torch.Tensor | None) -> float | None:
    return None if tensor is None or tensor.dim() else float(tensor)
