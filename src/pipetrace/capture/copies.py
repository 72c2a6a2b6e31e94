"""Inputs are copied for a replay so that what shared its elements shares them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

from pipetrace.capture import storages, trees


def copied(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Copy a forward's inputs; what is given by position and by keyword too becomes one copy."""
    spaces = _spaces([tensor for _, tensor in trees.leaves((args, kwargs))])

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        space = spaces.get(id(tensor))
        if space is not None:
            elements, start = space
            offset = tensor.storage_offset() - start
            twin = elements.as_strided(tensor.shape, tensor.stride(), offset)
            return twin.requires_grad_(tensor.requires_grad)
        if not tensor.is_leaf:
            # Into what has a graph behind it a forward may write, into a leaf it may not.
            with torch.enable_grad():
                return tensor.detach().requires_grad_().clone()
        return tensor.detach().clone().requires_grad_(tensor.requires_grad)

    copier = trees.Copier(copy)
    return copier(args), copier(kwargs)


def _spaces(tensors: list[torch.Tensor]) -> dict[int, tuple[torch.Tensor, int]]:
    """Copy the stretches of memory that several plain tensors share.

    Returns:
        By the id of each such tensor: the copied elements, and where in the storage they begin.
    """
    groups: dict[tuple[int, torch.dtype], dict[int, torch.Tensor]] = defaultdict(dict)
    for tensor in tensors:
        plain = tensor.layout is torch.strided and not (tensor.is_nested or tensor.is_quantized)
        if plain and tensor.is_leaf and tensor.numel() and not tensor.is_meta:
            groups[storages.place(tensor), tensor.dtype][id(tensor)] = tensor
    spaces = {}
    for group in groups.values():
        for stretch in _stretches(group.values()):
            if len(stretch) > 1:
                start, end = int(stretch[0].storage_offset()), max(map(_end, stretch))
                elements = stretch[0].detach().as_strided((end - start,), (1,), start).clone()
                spaces.update({id(tensor): (elements, start) for tensor in stretch})
    return spaces


def _stretches(tensors: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Put tensors of one storage together that may overlap, by where they begin and end."""
    found: list[list[torch.Tensor]] = []
    end = 0
    for tensor in sorted(tensors, key=lambda each: each.storage_offset()):
        if found and tensor.storage_offset() < end:
            found[-1].append(tensor)
        else:
            found.append([tensor])
        end = max(end, _end(tensor))
    return found


def _end(tensor: torch.Tensor) -> int:
    """Return the place in the storage after a tensor's last element."""
    steps = zip(tensor.stride(), tensor.shape, strict=True)
    return int(tensor.storage_offset() + 1 + sum(stride * (size - 1) for stride, size in steps))
