"""Whatever happens between a snapshot and its return, the model and the RNG streams come back."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

_INTERNAL = frozenset(nn.Module().__dict__)
_CONTAINERS = (list, dict, set)
Modes = bool | Sequence[bool] | None
"""One mode for all modules, one for each, or None for those they had."""


class Streams(NamedTuple):
    """The states of every random number generator that a forward may draw from."""

    cpu: torch.Tensor
    cuda: tuple[torch.Tensor, ...]
    numpy: Any
    python: Any

    @classmethod
    def take(cls) -> Streams:
        """Read the streams of torch (CPU, CUDA where in use), numpy and Python."""
        cuda = tuple(torch.cuda.get_rng_state_all()) if cuda_in_use() else ()
        numpy = sys.modules.get("numpy")
        state = None if numpy is None else numpy.random.get_state(legacy=False)
        return cls(torch.get_rng_state(), cuda, state, random.getstate())

    def put_back(self) -> None:
        """Set every stream to the state that was read."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        random.setstate(self.python)

    def same(self, other: Streams) -> bool:
        """Tell whether two readings are equal."""
        return (
            torch.equal(self.cpu, other.cpu)
            and len(self.cuda) == len(other.cuda)
            and all(map(torch.equal, self.cuda, other.cuda))
            and self.python == other.python
            and _same_numpy(self.numpy, other.numpy)
        )


def cuda_in_use() -> bool:
    """Tell whether this process has started CUDA; asking never starts it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]  # torch has no type


def _same_numpy(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    keys = [key for key in one if key != "state"]
    return (
        all(one[key] == other[key] for key in keys)
        and one["state"]["pos"] == other["state"]["pos"]
        and bool((one["state"]["key"] == other["state"]["key"]).all())
    )


class Insides(NamedTuple):
    """One submodule: its mode, its buffers as objects, and its plain attributes."""

    module: nn.Module
    training: bool
    buffers: dict[str, torch.Tensor | None]
    attributes: dict[str, Any]
    contents: dict[str, Any]


class Snapshot:
    """A model's modes, buffers and plain attributes, and the RNG streams, at one moment.

    Buffers are kept as clones, so that a forward which moves them can be played again from here.
    """

    def __init__(self, model: nn.Module) -> None:
        self.insides = [_look(module) for module in model.modules()]
        self.clones = [
            {name: _clone(buffer) for name, buffer in inside.buffers.items()}
            for inside in self.insides
        ]
        self.streams = Streams.take()

    @contextlib.contextmanager
    def replayed(self, modes: Modes = None) -> Iterator[None]:
        """Go back to this moment, and put the present back after.

        The present's own buffer objects are swapped out, never written to: a backward that is
        still to come reads them.

        Args:
            modes: One mode for every module, or a mode for each in the order of `insides`; None
                for the modes of this moment.
        """
        present = Snapshot.__new__(Snapshot)
        present.insides = [_look(inside.module) for inside in self.insides]
        present.streams = Streams.take()
        try:
            self.streams.put_back()
            wanted = _wanted(modes, self.insides)
            for inside, clones, mode in zip(self.insides, self.clones, wanted, strict=True):
                _set(inside, mode)
                _swap(inside.module, {n: _clone(b) for n, b in clones.items()})
            yield
        finally:
            for inside in present.insides:
                _set(inside, inside.training)
                _swap(inside.module, inside.buffers)
            present.streams.put_back()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Run what follows from this very moment, and come back to it: cheaper than `replayed`.

        Modes may be set inside with `switch`; buffers inside are the clones.
        """
        try:
            for inside, clones in zip(self.insides, self.clones, strict=True):
                _swap(inside.module, clones)
            yield
        finally:
            for inside in self.insides:
                _set(inside, inside.training)
                _swap(inside.module, inside.buffers)
            self.streams.put_back()

    def switch(self, modes: Modes) -> None:
        """Set the modes of all modules, without a word to them."""
        for inside, mode in zip(self.insides, _wanted(modes, self.insides), strict=True):
            inside.module.__dict__["training"] = mode

    def differences(self, model: nn.Module) -> dict[str, list[str]]:
        """Return what is not as it was at this moment: `modes`, `buffers`, each a list of paths."""
        names = {id(module): path or "the root" for path, module in model.named_modules()}
        modes, buffers = [], []
        for inside, clones in zip(self.insides, self.clones, strict=True):
            path = names.get(id(inside.module), "a module that has gone")
            if inside.module.training != inside.training:
                modes.append(path)
            for name, before in clones.items():
                now = inside.module._buffers.get(name)
                if not _same(before, now):
                    buffers.append(f"{path}.{name}")
        return {"modes": modes, "buffers": buffers}


def _look(module: nn.Module) -> Insides:
    attributes = {n: v for n, v in module.__dict__.items() if n not in _INTERNAL}
    contents = {n: v.copy() for n, v in attributes.items() if type(v) in _CONTAINERS}
    return Insides(module, module.training, dict(module._buffers), attributes, contents)


def _wanted(modes: Modes, insides: list[Insides]) -> Sequence[bool]:
    if modes is None:
        return [inside.training for inside in insides]
    return [modes] * len(insides) if isinstance(modes, bool) else modes


def _set(inside: Insides, training: bool) -> None:
    """Put plain attributes and their shallow contents back, and set the mode."""
    now = inside.module.__dict__
    for name in [n for n in now if n not in _INTERNAL and n not in inside.attributes]:
        del now[name]
    now.update(inside.attributes)
    for name, kept in inside.contents.items():
        value = now[name]
        if value != kept if type(value) is set else not _same_items(value, kept):
            value.clear()
            value.extend(kept) if type(value) is list else value.update(kept)
    now["training"] = training


def _same_items(value: Any, kept: Any) -> bool:
    if len(value) != len(kept):
        return False
    if type(value) is dict:
        return all(k in value and value[k] is item for k, item in kept.items())
    return all(one is other for one, other in zip(value, kept, strict=True))


def _swap(module: nn.Module, buffers: dict[str, torch.Tensor | None]) -> None:
    if buffers or module._buffers:
        module._buffers.clear()
        module._buffers.update(buffers)


def _clone(buffer: torch.Tensor | None) -> torch.Tensor | None:
    return None if buffer is None else buffer.detach().clone()


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and identical(one, other)


def identical(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors hold the same bits, NaN included."""
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    if one.layout != torch.strided or one.is_quantized or one.numel() == 0:
        return bool(torch.equal(one, other))
    return bool(torch.equal(_bytes(one), _bytes(other)))


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().view(torch.uint8)
