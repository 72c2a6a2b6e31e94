"""Each of several inputs gets other content: told is which of them no output notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pipetrace.capture import replay, trees
from pipetrace.capture.handlers import pass_on
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact
from pipetrace.tried import Ignored

_MOST = 200_000
"""Numbers of the inputs; larger batches are not played again."""
_INPUTS = 8


def ignored(subject: Subject) -> Iterator[Fact]:
    """Change each input of a forward that was trained on, one after another, in eval mode."""
    call = subject.call
    named = trees.arguments(call.args, call.kwargs)
    small = sum(tensor.numel() for _, tensor in named) <= _MOST
    if not subject.kind.trained or not 1 < len(named) <= _INPUTS or not small:
        return
    plain = _played(call, {})
    for name, tensor in named:
        other = _other(tensor)
        if plain is None or other is None:
            continue
        changed = _played(call, {id(tensor): other})
        if changed is not None and _largest(plain, changed) == 0:
            marked = _padding(tensor, [each for _, each in named if each is not tensor])
            yield Ignored(
                capture=subject.capture.id, input=name, shape=tuple(tensor.shape),
                dtype=str(tensor.dtype).removeprefix("torch."), masking=marked[2] if marked else 0,
                reached=None if marked is None else _reached(call, plain, marked[0], marked[1]),
            )  # fmt: skip


def _played(call: replay.Call, others: dict[int, torch.Tensor]) -> list[torch.Tensor] | None:
    copier = trees.Copier(lambda tensor: others.get(id(tensor), tensor))
    args, kwargs = copier(call.args), copier(call.kwargs)
    try:
        played = replay.play(call._replace(args=args, kwargs=kwargs), modes=False)
    except Exception as error:
        # Other content may be none that the forward takes: then it does look at it.
        pass_on(error)
        return None
    outputs = trees.tensors([played])
    return outputs if all(map(trees.is_plain, outputs)) else None


def _other(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return other content of the same kind: what the tensor holds already, moved on."""
    if not trees.is_plain(tensor):
        return None
    flat = tensor.detach().reshape(-1)
    if flat.numel() < 2 or bool((flat == flat[0]).all()):
        return None
    moved = flat.roll(1)
    return (moved * 1.5 if flat.is_floating_point() else moved).reshape(tensor.shape)


def _padding(
    mask: torch.Tensor, others: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int] | None:  # fmt: skip
    """Return the input in which a mask marks padding, where, and how much: one value only."""
    if mask.dim() != 2 or not bool(((mask == 0) | (mask == 1)).all()):
        return None
    for other in filter(trees.is_plain, others):
        if other.shape[:2] != mask.shape:
            continue
        for places in (mask == 0, mask == 1):
            inside, outside = other[places], other[~places]
            if _values(inside) == 1 and _values(outside) > 1:
                return other, places, int(places.sum())
    return None


def _values(tensor: torch.Tensor) -> int:
    return len(set(tensor.flatten().tolist()))


def _reached(
    call: replay.Call, plain: list[torch.Tensor], other: torch.Tensor, places: torch.Tensor
) -> float | None:  # fmt: skip
    """Return the largest change of an output when padding has the content of what is none."""
    changed = other.detach().clone()
    real = other.detach()[~places]
    count = int(places.sum())
    changed[places] = real[torch.arange(count) % len(real)]
    played = _played(call, {id(other): changed})
    return None if played is None else _largest(plain, played)


def _largest(plain: list[torch.Tensor], changed: list[torch.Tensor]) -> float:
    """Return the largest change of an output; without end where it has another shape."""
    largest = 0.0
    for one, other in zip(plain, changed, strict=False):
        if one.shape != other.shape:
            return float("inf")
        if not torch.equal(one, other):
            away: Any = (one.double() - other.double()).abs().max() if one.numel() else 0.0
            largest = max(largest, float(away), 1e-30)
    return largest
