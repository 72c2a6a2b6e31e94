"""The only door from tensors to records: statistics, real values of one row, scores."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import torch

from pipetrace.records import Tensor

EXACT = 1 << 18
"""Up to this many elements statistics are exact; above, they are of a sample this large."""
ROW = 32
"""How many values of a row are kept."""


def describe(tensor: torch.Tensor, *, row: int | None = None, values: bool = True) -> Tensor:
    """Say what is known of a tensor.

    Args:
        tensor: Of any shape, dtype, layout and device; it is not changed.
        row: Index into the first dimension: the sample whose values are shown. None shows the
            first values of the whole tensor.
        values: Whether real values may be kept at all.

    Returns:
        Shape, dtype, device and, for numbers in a strided or sparse layout, statistics over all
        elements (up to `EXACT` of them) or over an evenly spread sample.
    """
    shape = _shape(tensor)
    known = Tensor(shape=shape, dtype=str(tensor.dtype).removeprefix("torch."),
                   device=str(tensor.device))  # fmt: skip
    flat = _numbers(tensor)
    if flat is None or flat.numel() == 0:
        return known
    sampled = flat if flat.numel() <= EXACT else flat[:: _stride(flat.numel(), shape)]
    finite = sampled[torch.isfinite(sampled)]
    nans = int(torch.isnan(sampled).sum())
    mean = std = low = high = None
    if finite.numel():
        mean, std = float(finite.mean()), float(finite.std(correction=0))
        low, high = (float(edge) for edge in torch.aminmax(finite))
    shown, count = _row(tensor, row) if values else ((), 0)
    return msgspec.structs.replace(
        known, count=sampled.numel(), exact=sampled.numel() == flat.numel(),
        mean=mean, std=std, minimum=low, maximum=high,
        zeros=float((sampled == 0).float().mean()),
        nans=nans, infinities=sampled.numel() - finite.numel() - nans,
        row=shown, row_count=count,
    )  # fmt: skip


def values(tensor: torch.Tensor, most: int = ROW) -> tuple[float, ...]:
    """Return the first `most` elements as floats; complex ones as magnitudes."""
    flat = _numbers(tensor)
    return () if flat is None else tuple(flat[:most].tolist())


def number(value: Any) -> float:
    """Return a Python float of a one-element tensor or number; NaN where that is impossible."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def pick(tensor: torch.Tensor, row: int | None) -> torch.Tensor:
    """Return one row of a batch, or the tensor itself where it has no such row."""
    if row is None or tensor.dim() == 0 or row >= tensor.shape[0]:
        return tensor
    return tensor[row]


def _row(tensor: torch.Tensor, row: int | None) -> tuple[tuple[float, ...], int]:
    if tensor.layout != torch.strided or tensor.is_nested:
        return (), 0
    chosen = pick(tensor.detach(), row)
    flat = _numbers(chosen)
    return (() if flat is None else tuple(flat[:ROW].tolist())), chosen.numel()


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    if tensor.is_nested:
        return (int(tensor.size(0)),)
    return tuple(int(size) for size in tensor.shape)


def _numbers(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the elements as one float vector: float64 stays, all else becomes float32."""
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.is_nested:
            tensor = tensor.values()
        if tensor.layout != torch.strided:
            tensor = tensor.coalesce().values() if tensor.is_sparse else tensor.values()
        if tensor.is_complex():
            tensor = tensor.abs()
        flat = tensor.reshape(-1)
        return flat if flat.dtype == torch.float64 else flat.to(torch.float32)
    except (RuntimeError, NotImplementedError, AttributeError):
        return None


def _stride(count: int, shape: tuple[int, ...]) -> int:
    """Return a step that spreads the sample over rows *and* columns: coprime to the last size."""
    step = math.ceil(count / EXACT)
    while shape and math.gcd(step, shape[-1]) > 1:
        step += 1
    return step
