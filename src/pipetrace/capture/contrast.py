"""The same batch in train and in eval mode: which ops differ of themselves, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from pipetrace.capture import names
from pipetrace.capture.comparing import alike
from pipetrace.capture.tracer import Heard, Tracer
from pipetrace.parts import Difference
from pipetrace.records import Contrast
from pipetrace.summarise import Held

Key = tuple[str, int, str, int]


def contrast(here: Tracer, there: Tracer, capture: int, *, training: bool) -> Contrast:
    """Compare two forwards of one batch.

    Ops are paired by module, call, function and order. An op is a source of the difference where
    it was called in another mode itself, or where equal inputs gave it other outputs; the rest
    that differ pass on what they were given.

    Args:
        here: What was heard of the capture.
        there: What was heard of the other pass.
        capture: The id of the capture.
        training: The mode of the other pass.
    """
    others = dict(zip(_keys(there.heard), enumerate(there.heard), strict=True))
    differing: set[int] = set()
    sources = []
    paired = 0
    for index, (key, op) in enumerate(zip(_keys(here.heard), here.heard, strict=True)):
        if key not in others:
            continue
        paired += 1
        _, other = others[key]
        if op.view and other.view:
            if any(link.index in differing for link in op.links):
                differing.add(index)
            continue
        pair = op.made[0], other.made[0]
        if _same(*pair):
            continue
        differing.add(index)
        switched = _mode(op) != _mode(other)
        if switched or not any(link.index in differing for link in op.links):
            on, off = pair if not training else pair[::-1]
            sources.append(_difference(index, "mode" if switched else "values", on, off))
    return Contrast(
        capture=capture, training=training, paired=paired, differing=len(differing),
        only_here=len(here.heard) - paired, only_there=len(there.heard) - paired,
        sources=tuple(sources),
    )  # fmt: skip


def _keys(heard: Sequence[Heard]) -> list[Key]:
    seen: Counter[tuple[str, int, str]] = Counter()
    keys = []
    for op in heard:
        name = op.entry.path, op.entry.call, op.plan.name
        keys.append((*name, seen[name]))
        seen[name] += 1
    return keys


def _mode(op: Heard) -> object:
    """Return what an op was told of its mode: `training`, or the probability of its dropout."""
    told = names.arguments(op.plan, op.told)
    return told.get("training", told.get("train", told.get("dropout_p")))


def _same(one: Held, other: Held) -> bool:
    if one.shape != other.shape or one.numbers is None or other.numbers is None:
        return one.shape == other.shape
    return bool(alike(one.numbers, other.numbers).all())


def _difference(op: int, cause: str, on: Held, off: Held) -> Difference:
    if on.numbers is None or off.numbers is None or on.shape != off.shape:
        return Difference(op=op, cause=cause)
    one, other = on.numbers.reshape(-1).cpu(), off.numbers.reshape(-1).cpu()
    kind = torch.complex128 if one.is_complex() else torch.float64
    gap = one.to(kind) - other.to(kind)
    size = float(torch.linalg.vector_norm(other.to(kind)))
    return Difference(
        op=op, cause=cause, largest=float(gap.abs().max()), count=gap.numel(),
        relative=float(torch.linalg.vector_norm(gap)) / size if size else None,
        exact=gap.numel() == on.total,
    )  # fmt: skip
