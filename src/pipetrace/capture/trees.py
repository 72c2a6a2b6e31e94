"""The tensors inside whatever a forward takes, returns or keeps: found by path, and copied."""

from __future__ import annotations

import copy
import dataclasses
import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType, NoneType
from typing import Any

import torch
from torch import nn

DEPTH = 8
"""Structures nested deeper than this are not looked into."""
ATOMS = frozenset({NoneType, bool, int, float, complex, str, bytes, slice, type, type(Ellipsis),
                   torch.dtype, torch.device, torch.Size, torch.layout})  # fmt: skip
"""Types that hold no tensors."""
CONTAINERS = frozenset({list, dict, set, deque, OrderedDict, defaultdict, Counter})
"""Types whose contents a forward may change."""
_MOST = 20_000
"""How many things one copier copies at most; what comes after is shared."""


def leaves(
    value: Any, path: str = "", depth: int = 0, seen: dict[int, Any] | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor in nested lists, tuples, mappings and plain objects with its path.

    What holds tensors is looked into once: objects may refer to each other, all to all.

    >>> [path for path, _ in leaves({"a": torch.zeros(1), "b": [torch.zeros(2)]})]
    ["['a']", "['b'][0]"]
    """
    if isinstance(value, torch.Tensor):
        yield path, value
    elif type(value) not in ATOMS and depth < DEPTH:
        seen = {} if seen is None else seen
        if id(value) in seen:
            return
        # Kept too: while it lives nothing else gets its id.
        seen[id(value)] = value
        for step, child in _children(value):
            yield from leaves(child, path + step, depth + 1, seen)


def tensors(value: Any) -> list[torch.Tensor]:
    """Return every tensor in nested structures, in the order of `leaves`; the common ones fast."""
    if type(value) in (tuple, list):
        found: list[torch.Tensor] = []
        for item in value:
            if isinstance(item, torch.Tensor):
                found.append(item)
            elif type(item) not in ATOMS:
                found += [tensor for _, tensor in leaves(item, depth=1)]
        return found
    return [tensor for _, tensor in leaves(value)]


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """Return the tensors in a forward's arguments, each with a name that says which it is."""
    named = [
        (f"input{path}" if len(args) == 1 else f"input {index + 1}{path}", tensor)
        for index, value in enumerate(args)
        for path, tensor in leaves(value)
    ]
    return named + [
        (f"{key}{path}", tensor) for key, value in kwargs.items() for path, tensor in leaves(value)
    ]


def first(value: Any) -> torch.Tensor | None:
    """Return the first tensor in a structure, or None."""
    head = value
    # Arguments are tuples, and most calls have one tensor first.
    while type(head) is tuple and head:
        head = head[0]
    if isinstance(head, torch.Tensor):
        return head
    return next((tensor for _, tensor in leaves(value)), None)


def rows(value: Any) -> int | None:
    """Return the length of the first dimension of the first tensor: the rows of a batch."""
    tensor = first(value)
    return None if tensor is None or tensor.dim() == 0 else int(tensor.size(0))


def part(tensor: torch.Tensor, rows: int | None, start: int, stop: int) -> torch.Tensor:
    """Return some rows of a tensor that has as many as the batch; any other stays whole.

    So does one that cannot be sliced: a sparse or a nested one.
    """
    cut = is_plain(tensor) and tensor.dim() and tensor.shape[0] == rows
    return tensor[start:stop] if cut else tensor


def is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor can be sliced and compared: sparse and nested ones cannot."""
    return tensor.layout is torch.strided and not tensor.is_nested


def rebuild(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return a copy of a structure whose tensors went through `change`.

    >>> rebuild({"a": [torch.ones(1)], "b": "text"}, torch.neg)
    {'a': [tensor([-1.])], 'b': 'text'}
    """
    return Copier(change)(value)


def is_open(value: Any) -> bool:
    """Tell whether a thing is a plain object, whose attributes may be tensors."""
    closed = (nn.Module, ModuleType, BaseException, type)
    return hasattr(value, "__dict__") and not callable(value) and not isinstance(value, closed)


def is_generator(value: Any) -> bool:
    """Tell whether a thing is a source of random numbers with a state of its own."""
    if isinstance(value, random.SystemRandom):
        # It asks the operating system, and has no state.
        return False
    if isinstance(value, (torch.Generator, random.Random)):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(
        value, (numpy.random.Generator, numpy.random.RandomState)
    )


def _generator(value: Any) -> Any:
    return value.clone_state() if isinstance(value, torch.Generator) else copy.deepcopy(value)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _is_copied(value: Any) -> bool:
    kinds = isinstance(value, (list, dict, set, deque))
    return kinds or is_open(value) or dataclasses.is_dataclass(value)


def _attributes(value: Any) -> dict[str, Any]:
    if hasattr(value, "__dict__"):
        return dict(vars(value))
    slots = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    return {field.name: getattr(value, field.name) for field in slots}


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"[{key!r}]", item
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for name in value._fields:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name, None)
    elif is_open(value):
        for name, item in list(vars(value).items()):
            yield f".{name}", item


class Copier:
    """Copies nested structures; the same tensor, list or object becomes the same copy each time.

    Args:
        change: Makes the copy of a tensor.
        objects: Whether objects are copied with their attributes, beside containers, arrays and
            random generators. Modules, classes and functions never are.
    """

    def __init__(
        self, change: Callable[[torch.Tensor], torch.Tensor], *, objects: bool = True
    ) -> None:
        self._change = change
        self._objects = objects
        # The originals are kept too: while they live nothing else gets their ids.
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """Return the copy of a thing, or the thing where there is nothing to copy."""
        if type(value) in ATOMS or isinstance(value, nn.Module):
            return value
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, torch.Tensor):
            return self._keep(value, self._change(value))
        if depth >= DEPTH or len(self._known) >= _MOST:
            return value
        return self._copy(value, depth + 1)

    def _keep(self, value: Any, twin: Any) -> Any:
        self._known[id(value)] = (value, twin)
        return twin

    def _copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in CONTAINERS and len(value) > _MOST:
            return self._keep(value, copy.copy(value))
        if kind is list:
            # Known before it is filled: it may contain itself.
            items = self._keep(value, [])
            items.extend(self(item, depth) for item in value)
            return items
        if kind is dict:
            pairs = self._keep(value, {})
            for key, item in value.items():
                pairs[key] = self(item, depth)
            return pairs
        if isinstance(value, tuple):
            return self._tuple(value, depth)
        if is_generator(value):
            return self._keep(value, _generator(value))
        if kind in CONTAINERS or _is_array(value) or (self._objects and _is_copied(value)):
            return self._object(value, depth)
        return value

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        items = [self(item, depth) for item in value]
        if all(one is other for one, other in zip(items, value, strict=True)):
            return value
        if hasattr(value, "_make"):
            return self._keep(value, value._make(items))
        return self._keep(value, tuple(items)) if type(value) is tuple else value

    def _object(self, value: Any, depth: int) -> Any:
        """Copy a thing shallowly and then what is in it; share it where that fails."""
        try:
            twin = copy.copy(value)
            if twin is value:
                return value
            self._keep(value, twin)
            if isinstance(value, (list, deque)):
                for index, item in enumerate(value):
                    twin[index] = self(item, depth)
            elif hasattr(value, "items") and hasattr(value, "__setitem__"):
                for key, item in value.items():
                    twin[key] = self(item, depth)
            for name, item in _attributes(value).items():
                object.__setattr__(twin, name, self(item, depth))
        except Exception:
            return self._keep(value, value)
        return twin
