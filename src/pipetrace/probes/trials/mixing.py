"""One row of a batch gets another one's content in eval mode: told is which other rows change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from msgspec.structs import replace

from pipetrace.capture import replay, trees
from pipetrace.capture.tracer import Heard
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact
from pipetrace.tried import Mixing

_NUMBERS = 4_000_000
"""Numbers of a forward's outputs that are kept to be compared."""
_MOST = 200_000
"""Numbers of the inputs; larger batches are not played again."""
_NOTHING, _OWN, _OTHERS = range(3)


def mixing(subject: Subject) -> Iterator[Fact]:
    """Change one row of the inputs of a forward that was trained on."""
    tensors = trees.tensors((*subject.call.args, *subject.call.kwargs.values()))
    plain = all(map(trees.is_plain, tensors))
    if not subject.kind.trained or not plain or not tensors or not tensors[0].dim():
        return
    if any(tensor.layout is not torch.strided for tensor in tensors):
        return
    rows, places = tensors[0].size(0), _different(tensors[0])
    if places is None or sum(tensor.numel() for tensor in tensors) > _MOST:
        return
    args, kwargs = _with(subject.call, rows, places)
    other = subject.call._replace(args=args, kwargs=kwargs)
    told = _outside(
        subject.capture.id, rows, places[0], replay.play(subject.call, False),
        replay.play(other, False),
    )  # fmt: skip
    yield _inside(told, subject, other, places[0]) if told.others else told


def _outside(capture: int, rows: int, place: int, plain: Any, changed: Any) -> Mixing:
    """State which other rows of the output change."""
    for one, other in zip(trees.tensors([plain]), trees.tensors([changed]), strict=False):
        plain = trees.is_plain(one) and trees.is_plain(other)
        same = plain and one.shape == other.shape and one.dim() and one.size(0) == rows
        if same and _reached(one, other, rows, place) == _OTHERS:
            away = _away(one, other, 0)
            away[place] = 0
            others, largest = int((away > 0).sum()), float(away.max())
            return Mixing(capture=capture, rows=rows, others=others, largest=largest)
    return Mixing(capture=capture, rows=rows)


def _inside(told: Mixing, subject: Subject, other: replay.Call, place: int) -> Mixing:
    """Find the op that brings the change to other rows."""
    plain = _Kept()
    replay.examined(subject.call, plain.keep, modes=False)
    changed = _Compared(plain, told.rows, place)
    outcome = replay.examined(other, changed.compare, modes=False)
    if changed.first is None or outcome.raised is not None:
        return told
    heard = outcome.tracer.heard
    op = heard[changed.first]
    begun = next(each for each in heard if each.entry is op.entry and each.shapes)
    return replace(
        told, op=subject.own(outcome.tracer, changed.first), function=op.plan.name,
        module=op.entry.path, module_type=op.entry.kind, shapes=begun.shapes,
        returned=changed.first in outcome.tracer.makers(trees.leaves(outcome.output)),
    )  # fmt: skip


class _Kept:
    """What every op of the plain forward made."""

    def __init__(self) -> None:
        self.made: dict[int, list[torch.Tensor]] = {}
        self.names: dict[int, str] = {}
        self._left = _NUMBERS

    def keep(
        self, op: Heard, given: Sequence[torch.Tensor], made: list[torch.Tensor], index: int
    ) -> None:  # fmt: skip
        """Copy what an op made."""
        self._left -= sum(tensor.numel() for tensor in made)
        if self._left > 0:
            self.made[index] = [tensor.detach().clone() for tensor in made]
            self.names[index] = op.plan.name


class _Compared:
    """The forward with one row changed, op by op beside the plain one."""

    def __init__(self, plain: _Kept, rows: int, place: int) -> None:
        self._plain, self._rows, self._place = plain, rows, place
        self.first: int | None = None

    def compare(
        self, op: Heard, given: Sequence[torch.Tensor], made: list[torch.Tensor], index: int
    ) -> None:  # fmt: skip
        """Look whether an op has brought the change to other rows."""
        if self.first is None and self._plain.names.get(index) == op.plan.name:
            pairs = zip(self._plain.made[index], made, strict=False)
            if any(_reached(*pair, self._rows, self._place) == _OTHERS for pair in pairs):
                self.first = index


def _reached(one: torch.Tensor, other: torch.Tensor, rows: int, place: int) -> int:
    """Tell whether two tensors differ, and elsewhere than at the row that was changed.

    Where a tensor has as many places in several dimensions, that one counts in which the change
    stayed at its place; where it has them in none, they are folded into another one.
    """
    if one.shape != other.shape or torch.equal(one, other):
        return _NOTHING
    told = _NOTHING
    for dimension, size in enumerate(one.shape):
        if size % rows:
            continue
        away = _away(one, other, dimension) > 0
        folds = [away.reshape(rows, -1), away.reshape(-1, rows).t()]
        if any(not bool(_without(fold, place).any()) for fold in folds):
            return _OWN
        told = _OTHERS if size == rows else told
    return told


def _away(one: torch.Tensor, other: torch.Tensor, dimension: int) -> torch.Tensor:
    """Return the largest change at each place of a dimension, above what rounding gives."""
    one, other = (each.movedim(dimension, 0).reshape(each.size(dimension), -1) for each in
                  (one, other))  # fmt: skip
    if not one.is_floating_point():
        return (one != other).any(1).double()
    away = (one.double() - other.double()).abs().nan_to_num(0.0)
    floor = 1e-5 * one.double().abs().nan_to_num(0.0, 0.0, 0.0).max()
    return (away * (away > floor)).amax(1)


def _without(rows: torch.Tensor, place: int) -> torch.Tensor:
    return torch.cat([rows[:place], rows[place + 1 :]])


def _different(tensor: torch.Tensor) -> tuple[int, int] | None:
    """Return two rows with different content: one in the middle if it can be, and the last."""
    last = len(tensor) - 1
    for place in (last // 2, *range(last)):
        if last > 0 and not torch.equal(tensor[place], tensor[last]):
            return place, last
    return None


def _with(
    call: replay.Call, rows: int, places: tuple[int, int]
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """Return the inputs with the first row's content replaced by the second's."""
    place, source = places

    def change(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.dim() or tensor.size(0) != rows:
            return tensor
        changed = tensor.detach().clone()
        changed[place] = tensor.detach()[source]
        return changed

    copier = trees.Copier(change)
    return copier(call.args), copier(call.kwargs)
