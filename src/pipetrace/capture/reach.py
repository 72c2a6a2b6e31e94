"""Where a forward may leave something behind: attributes, what hooks close over, globals."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture.places import is_users
from pipetrace.capture.trees import ATOMS, CONTAINERS, is_open

_INTERNAL = frozenset(nn.Module().__dict__)
HOOKS = frozenset({
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks",
    "_backward_pre_hooks",
})  # fmt: skip
"""A forward may register hooks the first time that it runs."""
_FLAGS = _INTERNAL - HOOKS - {"training", "_parameters", "_buffers", "_modules"}
"""What a module keeps for its hooks and for itself: a forward leaves it alone."""
_MANY = 1000
"""Containers longer than this are not searched for modules and objects."""
_MOST = 20_000
"""After so many things the search ends."""
_known: weakref.WeakKeyDictionary[type, tuple[FunctionType, ...]] = weakref.WeakKeyDictionary()


class Space(NamedTuple):
    """Names that a forward may bind anew, or whose values it may write into.

    Attributes:
        store: A dict, or a thing whose attributes are read and set.
        names: Which names; None for all that a dict has, a module's flags apart.
        owned: Whether it is the model's, and so are the tensors in it.
    """

    store: Any
    names: tuple[str, ...] | None = None
    owned: bool = True

    def read(self) -> dict[str, Any]:
        """Return what the names are bound to; those that are not bound are left out."""
        store, names, _ = self
        if not isinstance(store, dict):
            return {name: getattr(store, name) for name in names or () if _has(store, name)}
        if names is None:
            return {name: value for name, value in store.items() if name not in _FLAGS}
        return {name: store[name] for name in names if name in store}

    def write(self, values: dict[str, Any]) -> None:
        """Bind the names to values, and unbind those that have none."""
        store, names, _ = self
        if isinstance(store, dict):
            bound = store.keys() - _FLAGS if names is None else store.keys() & set(names)
            for name in bound - values.keys():
                del store[name]
            store.update(values)
            return
        for name in names or ():
            if name not in values:
                if _has(store, name):
                    delattr(store, name)
            elif not _has(store, name) or getattr(store, name) is not values[name]:
                setattr(store, name, values[name])


class Reach:
    """All that a model's forward can reach and write to, as far as that is known from outside.

    Attributes:
        modules: Its submodules, then those it uses without having registered them.
        registered: How many of `modules` are registered.
        spaces: One for each of `modules`, in the same order, then all others.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules: list[nn.Module] = list(model.modules())
        self.registered = len(self.modules)
        self._seen = set(map(id, self.modules))
        self._spaces: list[Space] = []
        self._globals: dict[int, tuple[dict[str, Any], dict[str, None]]] = {}
        # The list grows while it is walked.
        for module in self.modules:
            self._module(module)
        named = (Space(store, tuple(names), False) for store, names in self._globals.values())
        self.spaces = [*map(_space, self.modules), *self._spaces, *named]

    def _module(self, module: nn.Module) -> None:
        for name, value in list(module.__dict__.items()):
            if type(value) not in ATOMS and name not in _INTERNAL:
                self._value(value, True)
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            self._callable(hook, hook=True)
        self._class(type(module))

    def _class(self, kind: type) -> None:
        """Look into the user's own classes: their methods, and what they keep for all."""
        for cls in kind.__mro__ if self._is_new(kind) else ():
            methods = _methods(cls)
            if methods and (cls is kind or self._is_new(cls)):
                kept = (name for name, value in vars(cls).items()
                        if not name.startswith("__") and _is_state(value))  # fmt: skip
                self._spaces.append(Space(cls, tuple(kept), False))
                for method in methods:
                    self._callable(method)

    def _value(self, value: Any, owned: bool) -> None:
        kind = type(value)
        if kind in ATOMS or isinstance(value, torch.Tensor) or len(self._seen) > _MOST:
            return
        if isinstance(value, (FunctionType, MethodType, partial)):
            self._callable(value)
        elif not self._is_new(value):
            return
        elif isinstance(value, nn.Module):
            # What is inside a module that is not registered is not registered either.
            self.modules += [m for m in value.modules() if m is value or self._is_new(m)]
        elif kind in CONTAINERS or isinstance(value, tuple):
            if len(value) <= _MANY:
                for item in list(value.values() if isinstance(value, dict) else value):
                    self._value(item, owned)
        elif is_open(value) and _methods(kind):
            self._object(value, owned)

    def _object(self, value: Any, owned: bool) -> None:
        self._spaces.append(Space(vars(value), None, owned))
        for item in list(vars(value).values()):
            self._value(item, owned)
        self._class(type(value))

    def _callable(self, value: Any, hook: bool = False) -> None:
        """Look into a function of the user's, or into anybody's hook."""
        if isinstance(value, partial):
            for item in (*value.args, *value.keywords.values()):
                self._value(item, False)
            self._callable(value.func, hook)
        elif isinstance(value, FunctionType):
            if self._is_new(value):
                self._callable(getattr(value, "__wrapped__", None), hook)
                if hook or is_users(value.__code__):
                    self._function(value)
        elif isinstance(value, MethodType):
            self._owner(value.__self__, hook)
            self._callable(value.__func__, hook)
        elif hook:
            self._owner(value, hook)

    def _owner(self, value: Any, hook: bool) -> None:
        """Look into the object whose method is called; one that hooks is looked into always."""
        opened = hook and hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module))
        if not opened:
            self._value(value, False)
        elif self._is_new(value):
            self._object(value, False)

    def _function(self, function: FunctionType) -> None:
        """Keep what a function closes over, and the globals whose names it uses."""
        for cell in function.__closure__ or ():
            if self._is_new(cell):
                self._spaces.append(Space(cell, ("cell_contents",), False))
                if _has(cell, "cell_contents"):
                    self._value(cell.cell_contents, False)
        store = function.__globals__
        _, names = self._globals.setdefault(id(store), (store, {}))
        for name in _names(function.__code__):
            if name not in store:
                names[name] = None
            elif name not in names:
                if _is_state(store[name]):
                    names[name] = None
                self._value(store[name], False)

    def _is_new(self, value: Any) -> bool:
        new = id(value) not in self._seen
        self._seen.add(id(value))
        return new


def _space(module: nn.Module) -> Space:
    """Return where a module keeps its state; a scripted one keeps it out of Python's sight."""
    if isinstance(module, torch.jit.ScriptModule):
        buffers = (name for name, _ in module.named_buffers(recurse=False))
        return Space(module, ("training", *buffers))
    return Space(module.__dict__)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function uses, those of the functions inside it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _methods(cls: type) -> tuple[FunctionType, ...]:
    """Return the methods of a class that the user wrote."""
    known = _known.get(cls)
    if known is None:
        known = _known[cls] = tuple(filter(_is_users, map(_plain, list(vars(cls).values()))))
    return known


def _plain(method: Any) -> Any:
    return method.fget if isinstance(method, property) else getattr(method, "__func__", method)


def _is_users(method: Any) -> bool:
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return isinstance(method, FunctionType) and is_users(method.__code__)


def _is_state(value: Any) -> bool:
    """Tell whether a global or a class attribute is data, and no module, function or property."""
    structure = (nn.Module, ModuleType, type, CellType)
    return not isinstance(value, structure) and not hasattr(type(value), "__get__")


def _has(store: Any, name: str) -> bool:
    try:
        getattr(store, name)
    except (AttributeError, ValueError):
        # A cell that is still empty says ValueError.
        return False
    return True
