"""Two outputs of a forward are compared bit for bit."""

from __future__ import annotations

from typing import Any

import torch

from pipetrace.capture import trees
from pipetrace.capture.guard import identical


def equal(one: Any, other: Any) -> bool:
    """Tell whether two outputs have the same tensors, bit for bit."""
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    return len(first) == len(second) and all(
        path == twin_path and identical(tensor, twin)
        for (path, tensor), (twin_path, twin) in zip(first, second, strict=True)
    )


def difference(one: Any, other: Any) -> float | None:
    """Return the largest absolute difference of two outputs; None where shapes differ."""
    largest = 0.0
    pairs = zip(trees.leaves(one), trees.leaves(other), strict=False)
    for (_, tensor), (_, twin) in pairs:
        if tensor.shape != twin.shape or tensor.is_nested:
            return None
        if tensor.numel():
            kind = torch.complex128 if tensor.is_complex() else torch.float64
            gap = (tensor.detach().to(kind) - twin.detach().to(kind)).abs().max()
            largest = max(largest, float(gap))
    return largest
