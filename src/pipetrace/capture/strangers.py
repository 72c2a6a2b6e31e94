"""Modules that a model uses without having registered them are found where they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from pipetrace.capture.trees import ATOMS, is_open

_INTERNAL = frozenset(nn.Module().__dict__)
_DEEP = 4
_MANY = 1000
"""Containers longer than this are not looked through."""


def paths(model: nn.Module) -> dict[int, str]:
    """Return where modules that `named_modules()` does not tell of are kept, by their ids.

    Looked through are lists, tuples, dicts, plain objects, `functools.partial`, and what
    functions close over, in the attributes of every module: `drops[0]`, `blocks['a'].drop`. The
    first path of a module counts.
    """
    known = {id(module): "" for module in model.modules()}
    found: dict[int, str] = {}
    waiting = list(model.named_modules())
    for path, module in waiting:
        for name, value in list(module.__dict__.items()):
            if type(value) in ATOMS or name in _INTERNAL:
                continue
            for place, hidden in _modules(value, f"{path}.{name}" if path else name, _DEEP):
                if id(hidden) not in known:
                    inside = [
                        (f"{place}.{below}" if below else place, each)
                        for below, each in hidden.named_modules()
                        if id(each) not in known
                    ]
                    found.update((id(each), below) for below, each in inside)
                    known.update((id(each), below) for below, each in inside)
                    waiting += inside
    return found


def _modules(value: Any, path: str, depth: int) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(value, nn.Module):
        yield path, value
    elif depth:
        for step, item in _inside(value):
            if type(item) not in ATOMS:
                yield from _modules(item, path + step, depth - 1)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple, Mapping)):
        if len(value) <= _MANY:
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            yield from ((f"[{key!r}]", item) for key, item in list(items))
    elif isinstance(value, partial):
        yield ".func", value.func
        yield from ((f".args[{place}]", item) for place, item in enumerate(value.args))
        yield from ((f".keywords[{key!r}]", item) for key, item in value.keywords.items())
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, FunctionType):
        names, cells = value.__code__.co_freevars, value.__closure__ or ()
        for name, cell in zip(names, cells, strict=True):
            try:
                yield f".{name}", cell.cell_contents
            except ValueError:
                # The variable has no value yet.
                continue
        yield from ((f".{key}", item) for key, item in (value.__kwdefaults__ or {}).items())
        yield from ((f"({place})", item) for place, item in enumerate(value.__defaults__ or ()))
    elif is_open(value):
        yield from ((f".{name}", item) for name, item in list(vars(value).items()))
