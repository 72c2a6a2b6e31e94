"""Inputs of evaluations are set beside those of training, feature by feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from pipetrace.capture import replay, trees
from pipetrace.observed import Shift
from pipetrace.observing.losses import Losses
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Fact
from pipetrace.training.captures import Root
from pipetrace.training.signals import original
from pipetrace.tried import Standardised

_FEATURES = 256
_CALLS = 64
"""So many features, of so many calls of each kind, and of each so many rows are summed up."""
_ROWS = 256
_FEWEST = 4
"""Rows of a call that has a mean and a deviation to speak of."""
_OFF = 2.0
"""A call is far off where its mean lies so many training deviations away, ..."""
_RATIO = 4.0
"""... or its deviation is so many times the training's, or as small a part of it."""


@dataclass
class _Sums:
    """What is known of some rows: sums of each feature and of its squares."""

    rows: int
    values: torch.Tensor
    squares: torch.Tensor
    count: int

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.rows + other.rows, self.values + other.values,
                     self.squares + other.squares, self.count + other.count)  # fmt: skip

    @property
    def mean(self) -> torch.Tensor:
        return self.values / self.count

    @property
    def deviation(self) -> torch.Tensor:
        return (self.squares / self.count - self.mean**2).clamp(min=0).sqrt()

    @property
    def whole(self) -> tuple[float, float]:
        """The mean and the deviation of all features together."""
        mean = self.mean.mean()
        square = (self.squares / self.count).mean()
        return float(mean), float((square - mean**2).clamp(min=0).sqrt())


@dataclass
class _Kept:
    """A far batch of an evaluation, to be played again: with it goes what its loss was given."""

    call: replay.Call
    kind: int
    output: Any = None
    loss: str = ""
    target: torch.Tensor | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    leaf: int = -1
    """Which tensor of the output the loss took, and in which shape."""
    shape: tuple[int, ...] = ()


class Shifting(Witness):
    """The witness of the inputs' mean and deviation."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._seen: dict[int, list[tuple[Turn, _Sums]]] = {}
        self._roots: dict[int, Root] = {}
        self._kept: dict[int, _Kept] = {}
        self._now: _Kept | None = None
        self._sums: _Sums | None = None

    def about(self, made: Made) -> None:
        """Sum up an input, and keep the first batch of an evaluation that lies far off."""
        self._now, self._sums = None, None
        known = self._seen.setdefault(made.turn.kind, [])
        self._roots[made.turn.kind] = made.root
        tensor = trees.first((made.args, made.kwargs))
        if len(known) >= _CALLS or tensor is None or not _measurable(tensor):
            return
        self._sums = _summed(tensor)
        known.append((made.turn, self._sums))
        if made.graph or made.turn.kind in self._kept or not made.root.traceable:
            return
        trained = self._trained(made.root, len(self._sums.values))
        if trained is not None and _far(self._sums, trained):
            call = replay.prepare(made.model, made.args, made.kwargs)
            self._now = self._kept[made.turn.kind] = _Kept(call, made.turn.kind)

    def called(self, made: Made, output: Any) -> None:
        """Keep the output until its loss is computed."""
        if self._now is not None:
            self._now.output = output

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Keep what the loss of a far batch was given."""
        now, given = self._now, self._losses.given
        if now is None or given is None or given.mark.turn.kind != now.kind or now.loss:
            return
        for index, leaf in enumerate(trees.tensors([now.output])):
            if leaf.numel() == given.prediction.numel():
                shape = tuple(given.prediction.shape)
                if torch.equal(leaf.reshape(shape), given.prediction):
                    now.loss, now.target = name, given.target.detach().clone()
                    now.kwargs, now.leaf, now.shape = given.kwargs, index, shape
        now.output = self._now = None

    def facts(self) -> Iterator[Fact]:
        """State how far evaluations lie off, and what their loss is when they are moved back."""
        for kind, seen in self._seen.items():
            calls = [sums for turn, sums in seen if not turn.trained and sums.rows >= _FEWEST]
            if not calls or any(turn.trained for turn, _ in seen):
                continue
            trained = self._trained(self._roots[kind], len(calls[0].values))
            calls = [sums for sums in calls if len(sums.values) == len(calls[0].values)]
            if trained is None:
                continue
            yield (told := _shift(kind, calls, trained))
            if told.far:
                yield from self._moved(kind, sum(calls[1:], calls[0]), trained)

    def _trained(self, root: Root, features: int) -> _Sums | None:
        found = [
            sums
            for kind, seen in self._seen.items() if self._roots[kind] is root
            for turn, sums in seen if turn.trained and len(sums.values) == features
        ]  # fmt: skip
        rows = sum(sums.rows for sums in found)
        return sum(found[1:], found[0]) if rows >= 2 * _FEWEST else None

    def _moved(self, kind: int, here: _Sums, trained: _Sums) -> Iterator[Standardised]:
        kept = self._kept.get(kind)
        if kept is None or kept.target is None:
            return
        first = trees.first((kept.call.args, kept.call.kwargs))
        assert first is not None

        def move(tensor: torch.Tensor) -> torch.Tensor:
            if tensor is not first:
                return tensor
            return _moved(tensor, here, trained)

        args, kwargs = trees.Copier(move)((kept.call.args, kept.call.kwargs))
        before = _loss(kept, replay.play(kept.call))
        after = _loss(kept, replay.play(kept.call._replace(args=args, kwargs=kwargs)))
        if before is not None and after is not None:
            yield Standardised(calls=kind, function=kept.loss, before=before, after=after)


def _measurable(tensor: torch.Tensor) -> bool:
    kind = tensor.is_floating_point() or tensor.dtype is torch.uint8
    return kind and tensor.dim() > 1 and tensor.layout is torch.strided and tensor.numel() > 0


def _features(tensor: torch.Tensor) -> torch.Tensor:
    """Return rows and features of a batch: channels of images, else the last dimension."""
    moved = tensor.movedim(1, -1) if tensor.dim() > 3 else tensor
    return moved.reshape(-1, moved.shape[-1])


def _summed(tensor: torch.Tensor) -> _Sums:
    rows = _features(tensor.detach()[:_ROWS])
    rows = rows[:, :: -(-rows.shape[1] // _FEATURES)].double()
    return _Sums(len(tensor), rows.sum(0), (rows * rows).sum(0), len(rows))


def _distances(here: _Sums, trained: _Sums) -> tuple[float, float]:
    deviation = trained.deviation
    varied = deviation > 1e-8
    if not bool(varied.any()):
        return 0.0, 1.0
    deviation = deviation[varied]
    distance = ((here.mean - trained.mean)[varied] / deviation).abs().median()
    return float(distance), float((here.deviation[varied] / deviation).median())


def _far(here: _Sums, trained: _Sums) -> bool:
    if here.rows < _FEWEST:
        return False
    distance, scale = _distances(here, trained)
    return distance > _OFF or scale > _RATIO or scale < 1 / _RATIO


def _shift(kind: int, calls: list[_Sums], trained: _Sums) -> Shift:
    here = sum(calls[1:], calls[0])
    distance, scale = _distances(here, trained)
    (mean, deviation), (trained_mean, trained_deviation) = here.whole, trained.whole
    return Shift(
        calls=kind, features=len(here.values), rows=here.rows, batches=len(calls),
        far=sum(_far(each, trained) for each in calls), distance=distance, scale=scale, mean=mean,
        deviation=deviation, trained_mean=trained_mean, trained_deviation=trained_deviation,
    )  # fmt: skip


def _moved(tensor: torch.Tensor, here: _Sums, trained: _Sums) -> torch.Tensor:
    """Move each feature of a batch to the mean and deviation that it had in training."""
    last = tensor.movedim(1, -1) if tensor.dim() > 3 else tensor
    if last.shape[-1] == len(here.values):
        mean, deviation = here.mean, here.deviation
        trained_mean, trained_deviation = trained.mean, trained.deviation
    else:
        mean, deviation = map(torch.tensor, here.whole)
        trained_mean, trained_deviation = map(torch.tensor, trained.whole)
    moved = (last.double() - mean) / deviation.clamp(min=1e-8) * trained_deviation + trained_mean
    moved = moved.movedim(-1, 1) if tensor.dim() > 3 else moved
    return moved.to(tensor.dtype if tensor.is_floating_point() else torch.float32)


def _loss(kept: _Kept, output: Any) -> float | None:
    leaves = trees.tensors([output])
    if kept.leaf >= len(leaves) or leaves[kept.leaf].numel() != torch.Size(kept.shape).numel():
        return None
    value = original(kept.loss)(leaves[kept.leaf].reshape(kept.shape), kept.target, **kept.kwargs)
    return float(value.mean())
