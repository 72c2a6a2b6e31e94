"""The tensors inside whatever a forward takes or returns, with the paths a person would write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

DEPTH = 8
"""Structures nested deeper than this are not looked into."""


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor in nested lists, tuples, mappings and dataclasses with its path.

    >>> [path for path, _ in leaves({"a": torch.zeros(1), "b": [torch.zeros(2)]})]
    ["['a']", "['b'][0]"]
    """
    if isinstance(value, torch.Tensor):
        yield path, value
    elif depth < DEPTH:
        for step, child in _children(value):
            yield from leaves(child, path + step, depth + 1)


def first(value: Any) -> torch.Tensor | None:
    """Return the first tensor in a structure, or None."""
    while type(value) is tuple and value:
        # Arguments are tuples, and most calls have one tensor first.
        if isinstance(value[0], torch.Tensor):
            return value[0]
        if type(value[0]) is not tuple:
            break
        value = value[0]
    if isinstance(value, torch.Tensor):
        return value
    return next((tensor for _, tensor in leaves(value)), None)


def rebuild(value: Any, change: Callable[[torch.Tensor], torch.Tensor], depth: int = 0) -> Any:
    """Return a copy of a structure whose tensors went through `change`; the rest is shared."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if depth >= DEPTH:
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(rebuild(item, change, depth + 1) for item in value))
    if type(value) in (list, tuple):
        return type(value)(rebuild(item, change, depth + 1) for item in value)
    if type(value) is dict:
        return {key: rebuild(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return _rebuild_object(value, change, depth)
    return value


def rows(value: Any) -> int | None:
    """Return the length of the first dimension of the first tensor: the rows of a batch."""
    tensor = first(value)
    return int(tensor.shape[0]) if tensor is not None and tensor.dim() > 0 else None


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


def _rebuild_object(value: Any, change: Callable[[torch.Tensor], torch.Tensor], depth: int) -> Any:
    """Copy a mapping or dataclass shallowly and replace its tensors; share it where that fails."""
    try:
        import copy

        twin = copy.copy(value)
        for step, item in list(_children(value)):
            changed = rebuild(item, change, depth + 1)
            if changed is not item:
                if isinstance(value, Mapping):
                    twin[next(key for key in value if f"[{key!r}]" == step)] = changed
                else:
                    object.__setattr__(twin, step[1:], changed)
    except Exception:
        return value
    return twin
