"""Two outputs of a forward are compared bit for bit."""

from __future__ import annotations

import math
from typing import Any

import torch

from pipetrace.capture import trees
from pipetrace.capture.guard import identical
from pipetrace.parts import Receipt


def equal(one: Any, other: Any) -> bool:
    """Tell whether two outputs have the same tensors, bit for bit."""
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    return len(first) == len(second) and all(
        path == twin_path and identical(tensor, twin)
        for (path, tensor), (twin_path, twin) in zip(first, second, strict=True)
    )


def compared(plain: Any, traced: Any) -> Receipt:
    """Return the receipt of a traced forward's output beside the plain one's.

    Of outputs without tensors nothing is compared, and nothing said.
    """
    count = [tensor.numel() for _, tensor in trees.leaves(traced)]
    same = equal(plain, traced) if count or any(trees.leaves(plain)) else None
    gap = difference(plain, traced) if same is False else None
    return Receipt(equal=same, difference=gap, elements=sum(count))


def difference(one: Any, other: Any) -> float | None:
    """Return the largest absolute difference of two outputs, NaN where one alone has a NaN.

    None where their shapes differ, and of sparse, nested and quantised tensors.
    """
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    if len(first) != len(second):
        return None
    largest = 0.0
    for (_, tensor), (_, twin) in zip(first, second, strict=True):
        if tensor.shape != twin.shape or not (_is_plain(tensor) and _is_plain(twin)):
            return None
        if tensor.numel():
            pair = tensor.detach().cpu(), twin.detach().cpu()
            kind = torch.complex128 if any(map(torch.is_complex, pair)) else torch.float64
            left, right = (side.to(kind) for side in pair)
            gap = float((left - right).abs().masked_fill(alike(left, right), 0).max())
            if math.isnan(gap):
                return gap
            largest = max(largest, gap)
    return largest


def alike(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Tell of each two elements whether they are the same number, or neither is one."""
    return (one == other) | (one.isnan() & other.isnan())


def _is_plain(tensor: torch.Tensor) -> bool:
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return strided and not (tensor.is_quantized or tensor.is_meta)
