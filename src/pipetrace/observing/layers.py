"""Dropout layers are watched: those that are never called, and those whose rate changes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from types import CodeType
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from pipetrace.capture import places
from pipetrace.observed import DropRate, Idle
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Fact
from pipetrace.training.captures import Root

_LISTS = (nn.ModuleList, nn.ModuleDict)


class _Layer:
    """One dropout layer."""

    def __init__(self, path: str, layer: _DropoutNd, owner: nn.Module, named: bool) -> None:
        self.path, self.ref, self.owner = path, weakref.ref(layer), id(owner)
        self.named, self.own = named, _own(owner)
        self.first = self.p = float(layer.p)
        self.changes = self.step = 0


class _Seen:
    """The dropout layers of one root, and the modules of it that were called."""

    def __init__(self, root: Root, model: nn.Module) -> None:
        self.root = root
        self.turns: list[Turn] = []
        self.layers = list(_layers(model))
        self.idle = {id(each.ref()) for each in self.layers if each.p > 0}
        self.called: set[int] = set()


class Layering(Witness):
    """The witness of dropout layers.

    It hears the calls of modules only as long as a layer of the root has not been called.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Root, _Seen] = weakref.WeakKeyDictionary()
        self._roots: list[_Seen] = []
        self._now: _Seen | None = None
        self._hook: RemovableHandle | None = None

    def about(self, made: Made) -> None:
        """Read the rates, and hear which modules are called."""
        self.end()
        seen = self._known.get(made.root)
        if seen is None:
            seen = self._known[made.root] = _Seen(made.root, made.model)
            self._roots.append(seen)
        if not made.model.training:
            return
        if made.graph:
            seen.turns.append(made.turn)
            _read(seen, made.step)
        if seen.idle:
            self._now, self._hook = seen, register_module_forward_pre_hook(self._hear)

    def called(self, made: Made, output: Any) -> None:
        """Stop to hear the calls of modules."""
        self.end()

    def end(self) -> None:
        """Stop to hear the calls of modules."""
        if self._hook is not None:
            self._hook.remove()
        self._now = self._hook = None

    def facts(self) -> Iterator[Fact]:
        """State the layers that were never called, and those whose rate changed."""
        for seen in self._roots:
            trained = sum(turn.trained for turn in seen.turns)
            for each in seen.layers if trained else ():
                if each.changes:
                    yield DropRate(
                        model=seen.root.id, path=each.path, first=each.first, last=each.p,
                        changes=each.changes, step=each.step,
                    )  # fmt: skip
                idle = id(each.ref()) in seen.idle and each.owner in seen.called
                if idle and seen.root.traceable:
                    yield Idle(model=seen.root.id, path=each.path, p=each.p, calls=trained,
                               named=each.named, own=each.own)  # fmt: skip

    def _hear(self, module: nn.Module, args: Any) -> None:
        if self._now is not None:
            self._now.called.add(id(module))
            self._now.idle.discard(id(module))


def _read(seen: _Seen, step: int) -> None:
    for each in seen.layers:
        layer = each.ref()
        if layer is not None and layer.p != each.p:
            each.step = each.step if each.changes else step
            each.p, each.changes = float(layer.p), each.changes + 1


def _layers(model: nn.Module) -> Iterator[_Layer]:
    """Yield every dropout layer of PyTorch's own, with the module whose forward would call it."""
    modules = dict(model.named_modules())
    for path, module in modules.items():
        if isinstance(module, _DropoutNd) and path:
            owner, _, name = path.rpartition(".")
            while owner and isinstance(modules.get(owner), _LISTS):
                owner, _, name = owner.rpartition(".")
            if owner in modules:
                yield _Layer(path, module, modules[owner], _names(modules[owner], name))


def _own(owner: nn.Module) -> bool:
    """Tell whether the program itself wrote a module's forward."""
    code = getattr(type(owner).forward, "__code__", None)
    return code is not None and places.is_users(code)


def _names(owner: nn.Module, name: str) -> bool:
    """Tell whether a method of a module's class, other than the constructor, names an attribute."""
    for kind in type(owner).__mro__:
        if kind is nn.Module:
            return False
        for key, method in vars(kind).items():
            code = getattr(getattr(method, "__wrapped__", method), "__code__", None)
            if key != "__init__" and code is not None and _mentions(code, name):
                return True
    return False


def _mentions(code: CodeType, name: str) -> bool:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return name in code.co_names or name in code.co_consts or any(_mentions(c, name) for c in inner)
