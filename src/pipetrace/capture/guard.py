"""Whatever happens between a snapshot and its return, the model and the RNG streams come back."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture import trees
from pipetrace.capture.alone import alone
from pipetrace.capture.reach import HOOKS, Reach

Modes = bool | Sequence[bool] | None
"""One mode for all modules, one for each, or None for those they had."""


_LISTS = frozenset({"_parameters", "_modules"})
_SHALLOW = _LISTS | HOOKS


class Streams(NamedTuple):
    """The states of every random number generator that a forward may draw from unasked."""

    cpu: torch.Tensor
    devices: dict[str, list[torch.Tensor]]
    numpy: Any
    python: Any

    @classmethod
    def take(cls) -> Streams:
        """Read the streams of torch (CPU, and devices in use), numpy and Python."""
        numpy = sys.modules.get("numpy")
        state = None if numpy is None else numpy.random.get_state(legacy=False)
        return cls(torch.get_rng_state(), device_states(), state, random.getstate())

    def put_back(self) -> None:
        """Set every stream to the state that was read."""
        torch.set_rng_state(self.cpu)
        for kind, states in self.devices.items():
            if kind == "mps":
                torch.mps.set_rng_state(states[0])
            else:
                getattr(torch, kind).set_rng_state_all(states)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        random.setstate(self.python)

    def same(self, other: Streams) -> bool:
        """Tell whether two readings are equal."""
        # Python's is a tuple of 625 plain numbers, which it compares fast itself.
        return self.python == other.python and _alike(tuple(self[:3]), tuple(other[:3]))


def cuda_in_use() -> bool:
    """Tell whether this process has started CUDA; asking never starts it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]  # torch has no type


def seed(number: int) -> None:
    """Seed torch's generators, of devices in use only.

    `torch.manual_seed` would also queue a seed, at a cost, for a CUDA that has not started.
    """
    torch.default_generator.manual_seed(number)
    if cuda_in_use():
        torch.cuda.manual_seed_all(number)
    if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]  # torch has no type
        torch.xpu.manual_seed_all(number)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def device_states() -> dict[str, list[torch.Tensor]]:
    """Read torch's streams on devices that are in use."""
    states = {}
    if cuda_in_use():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]  # torch has no type
        states["xpu"] = torch.xpu.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = [torch.mps.get_rng_state()]
    return states


def _alike(one: Any, other: Any) -> bool:
    """Compare states: whatever is in them, arrays and tensors element by element."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return bool((one == other).all()) if hasattr(one, "all") else bool(one == other)


def identical(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors hold the same bits, NaN included.

    Of a meta tensor, which holds none, its shape and dtype.
    """
    for form in ("dtype", "device", "layout", "is_nested"):
        if getattr(one, form) != getattr(other, form):
            return False
    if one.is_nested or one.layout != torch.strided or one.is_quantized:
        parts, twins = _parts(one), _parts(other)
        return len(parts) == len(twins) and all(map(identical, parts, twins))
    if one.shape != other.shape:
        return False
    return one.is_meta or one.numel() == 0 or bool(torch.equal(_bytes(one), _bytes(other)))


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the plain tensors that a nested, sparse or quantised tensor consists of."""
    tensor = tensor.detach()
    if tensor.is_nested:
        return list(tensor.unbind())
    if tensor.is_quantized:
        return [tensor.int_repr(), tensor.dequantize()]
    if tensor.layout == torch.sparse_coo:
        return [torch.tensor(tensor.shape), tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor.to_dense()]


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().view(torch.uint8)


def _renews(module: nn.Module) -> bool:
    """Tell whether a forward writes into this module's weight: the lookup with a largest norm."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None


class Inside(NamedTuple):
    """One module and its mode; one that is not registered is out of reach of `eval()`."""

    module: nn.Module
    training: bool
    registered: bool


class Snapshot:
    """All that a model's forward may move, and the RNG streams, at one moment.

    Buffers, other tensors of the model, and containers are kept as copies, so that a forward can
    be played again from here. What is found is never written to, only swapped for copies: a
    backward that is still to come reads it.

    Attributes:
        insides: The model's modules, those it uses without having registered them too.
        streams: The states of the random number generators.
    """

    def __init__(self, model: nn.Module) -> None:
        reach = Reach(model)
        self._spaces = reach.spaces
        self._found = [space.read() for space in self._spaces]
        self.insides = [
            Inside(module, module.training, index < reach.registered)
            for index, module in enumerate(reach.modules)
        ]
        self._renewed = {id(module.weight) for module in reach.modules if _renews(module)}
        self._values = self._copies(self._found)
        self.streams = Streams.take()

    @contextlib.contextmanager
    def replayed(self, modes: Modes = None) -> Iterator[None]:
        """Go back to this moment, and put the present back after.

        Args:
            modes: One mode for every module that `eval()` reaches, or a mode for each in the order
                of `insides`; None for the modes of this moment.
        """
        present = [space.read() for space in self._spaces]
        streams = Streams.take()
        try:
            self.streams.put_back()
            self._write(self._copies(self._values))
            self.switch(modes)
            with alone():
                yield
        finally:
            self._write(present)
            streams.put_back()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Run what follows from this very moment, and come back to it: cheaper than `replayed`.

        Modes may be set inside with `switch`; the copies of this snapshot are used up.
        """
        try:
            self._write(self._values)
            with alone():
                yield
        finally:
            self._write(self._found)
            self.streams.put_back()

    def switch(self, modes: Modes) -> None:
        """Set the modes of all modules, without a word to them."""
        for inside, mode in zip(self.insides, self._wanted(modes), strict=True):
            if isinstance(inside.module, torch.jit.ScriptModule):
                inside.module.training = mode
            else:
                inside.module.__dict__["training"] = mode

    def differences(self, model: nn.Module) -> dict[str, list[str]]:
        """Return what is not as it was at this moment: `modes`, `buffers`, each a list of paths."""
        names = {id(module): path or "the root" for path, module in model.named_modules()}
        modes, buffers = [], []
        for (module, training, _), kept in zip(self.insides, self._values, strict=False):
            path = names.get(id(module), f"(not registered) {type(module).__name__}")
            if module.training != training:
                modes.append(path)
            now = dict(module.named_buffers(recurse=False, remove_duplicate=False))
            for name, before in kept.get("_buffers", kept).items():
                if isinstance(before, torch.Tensor) and not (
                    name in now and identical(before, now[name])
                ):
                    buffers.append(f"{path}.{name}")
        return {"modes": modes, "buffers": buffers}

    def _copies(self, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Copy what the model owns with its tensors; of the rest, containers only."""
        owned = trees.Copier(self._clone, objects=False)
        others = trees.Copier(lambda tensor: tensor, objects=False)
        with torch.inference_mode(False), torch.no_grad():
            return [
                self._copied(owned if space.owned else others, found)
                for space, found in zip(self._spaces, values, strict=True)
            ]

    def _copied(self, copier: trees.Copier, found: dict[str, Any]) -> dict[str, Any]:
        copies = {
            name: value if type(value) in trees.ATOMS or name in _SHALLOW else copier(value)
            for name, value in found.items()
        }
        for name in HOOKS & copies.keys():
            copies[name] = copies[name].copy()
        for name in _LISTS & copies.keys():
            # Modules and parameters stay themselves, but for a weight that is renewed.
            copies[name] = copier(copies[name]) if self._renewed else copies[name].copy()
        return copies

    def _wanted(self, modes: Modes) -> Sequence[bool]:
        if isinstance(modes, bool):
            return [modes if inside.registered else inside.training for inside in self.insides]
        return [inside.training for inside in self.insides] if modes is None else modes

    def _clone(self, tensor: torch.Tensor) -> torch.Tensor:
        if isinstance(tensor, nn.Parameter):
            if id(tensor) not in self._renewed:
                return tensor
            twin = nn.Parameter(tensor.detach().clone(), tensor.requires_grad)
            self._renewed.add(id(twin))
            return twin
        return tensor.detach().clone().requires_grad_(tensor.requires_grad)

    def _write(self, values: list[dict[str, Any]]) -> None:
        for space, bound in zip(self._spaces, values, strict=True):
            space.write(bound)
