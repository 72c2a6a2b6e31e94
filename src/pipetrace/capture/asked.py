"""What a tracer asks of the arguments and the output of one function call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from pipetrace.capture import names, storages, trees
from pipetrace.summarise import Held

LONG = 1000
"""A longer list of numbers is told by its type: it may be somebody's data set."""
ATOMS = trees.ATOMS - {type, slice}


def sort(value: Any, given: list[torch.Tensor]) -> bool:
    """Add the tensors in an argument to `given`; tell whether there was one."""
    if isinstance(value, torch.Tensor):
        given.append(value)
        return True
    if type(value) in ATOMS:
        return False
    found = trees.tensors(value)
    given.extend(found)
    return bool(found)


def plain(value: Any) -> Any:
    """Return an argument as it is where it cannot change, else in words."""
    if type(value) in ATOMS:
        return value
    if (
        type(value) in (list, tuple)
        and len(value) <= LONG
        and all(type(item) in trees.ATOMS for item in value)
    ):
        return tuple(value)
    return value if callable(value) or isinstance(value, slice) else names.worded(value)


def source(plan: names.Plan, given: Sequence[torch.Tensor], made: torch.Tensor) -> int | None:
    """Return which given tensor an output is, or is a view of."""
    for index, tensor in enumerate(given):
        if tensor is made:
            return index
    if made.is_inference() or (plan.name == "view" and made._base is None):
        # Views made in inference mode, or as another dtype, do not know of what.
        place = storages.place(made)
        return next((i for i, tensor in enumerate(given) if storages.place(tensor) == place), None)
    base = made._base
    if base is None:
        return None
    return next((i for i, t in enumerate(given) if t is base or owner(t) is base), None)


def cuts(given: Sequence[torch.Tensor], made: torch.Tensor) -> bool:
    """Tell whether an op takes what has a graph and makes what could have one and has none."""
    could = made.is_floating_point() and not made.requires_grad
    return could and any(tensor.requires_grad for tensor in given)


def is_inplace(plan: names.Plan, told: Iterable[tuple[int | str, Any]]) -> bool:
    """Tell whether a function was asked to write into what it was given."""
    return plan.inplace or bool(names.arguments(plan, told).get("inplace"))


def owner(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return what a tensor is a view of, where that is known."""
    return None if tensor.is_inference() else tensor._base


def storage_bytes(made: torch.Tensor, held: Held) -> int:
    """Return how many bytes an output takes."""
    strided = made.layout is torch.strided
    return held.total * held.dtype.itemsize if strided else storages.size(made)
