"""What a replay left behind, compared with what it found: nothing may have moved."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn
from torch.nn.modules import module as modules

from pipetrace.capture.guard import Snapshot, Streams
from pipetrace.records import Check

_GLOBAL_HOOKS = ("_global_forward_pre_hooks", "_global_forward_hooks", "_global_backward_hooks")


class Left(NamedTuple):
    """What is known of a model without copies: by identity, version and number."""

    gradients: tuple[tuple[int, int], ...]
    versions: dict[int, int]
    hooks: tuple[int, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Left:
        """Look at a model."""
        return cls(_gradients(model), versions(model), _hooks(model))


def versions(model: nn.Module) -> dict[int, int]:
    """Return how often each parameter was written to; those of inference mode do not count it."""
    return {id(p): 0 if p.is_inference() else p._version for p in model.parameters()}


def checks(model: nn.Module, before: Snapshot, left: Left) -> tuple[Check, ...]:
    """Compare a model and the RNG streams with what they were.

    Args:
        model: The root module.
        before: A snapshot of what was found.
        left: The rest of what was found.
    """
    moved, now = before.differences(model), Left.of(model)
    modes, buffers = (", ".join(moved[name][:3]) for name in ("modes", "buffers"))
    parameters = f"{len(now.versions)} parameters"
    return (
        Check(name="RNG streams", ok=before.streams.same(Streams.take()),
              detail="torch, numpy and Python read the same before and after"),
        Check(name="modes", ok=not modes, detail=modes or f"{len(before.insides)} modules"),
        Check(name="buffers", ok=not buffers,
              detail=buffers or f"{sum(1 for _ in model.buffers())} buffers"),
        Check(name="gradients", ok=left.gradients == now.gradients, detail=parameters),
        Check(name="parameters", ok=left.versions == now.versions, detail=parameters),
        Check(name="hooks", ok=left.hooks == now.hooks, detail=f"{sum(now.hooks)} hooks"),
    )  # fmt: skip


def _gradients(model: nn.Module) -> tuple[tuple[int, int], ...]:
    grads = (parameter.grad for parameter in model.parameters())
    return tuple((0, 0) if g is None else (id(g), g._version) for g in grads)


def _hooks(model: nn.Module) -> tuple[int, ...]:
    """Count the hooks of all modules, and those of each."""
    everywhere = (len(getattr(modules, name)) for name in _GLOBAL_HOOKS)
    own = (
        len(value)
        for module in model.modules()
        for name, value in module.__dict__.items()
        if name.endswith("_hooks") and isinstance(value, dict)
    )
    return (*everywhere, *own)
