"""Two tensors, or two outputs, are the same where every bit is; else it is told how far apart."""

from __future__ import annotations

from typing import Any

import torch

from pipetrace.capture import trees


def identical(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors hold the same bits, NaN included.

    Of a meta tensor, which holds none, its shape and dtype.
    """
    for form in ("dtype", "device", "layout", "is_nested"):
        if getattr(one, form) != getattr(other, form):
            return False
    if one.is_nested or one.layout != torch.strided or one.is_quantized:
        parts, twins = _parts(one), _parts(other)
        return len(parts) == len(twins) and all(map(identical, parts, twins))
    if one.shape != other.shape:
        return False
    return one.is_meta or one.numel() == 0 or bool(torch.equal(_bytes(one), _bytes(other)))


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the plain tensors that a nested, sparse or quantised tensor consists of."""
    tensor = tensor.detach()
    if tensor.is_nested:
        return list(tensor.unbind())
    if tensor.is_quantized:
        return [tensor.int_repr(), tensor.dequantize()]
    if tensor.layout == torch.sparse_coo:
        return [torch.tensor(tensor.shape), tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor.to_dense()]


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().view(torch.uint8)


def equal(one: Any, other: Any) -> bool | None:
    """Tell whether two outputs have the same tensors, bit for bit; None where they have none."""
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    if not first and not second:
        return None
    return len(first) == len(second) and all(
        path == twin_path and identical(tensor, twin)
        for (path, tensor), (twin_path, twin) in zip(first, second, strict=True)
    )


def difference(one: Any, other: Any) -> float | None:
    """Return the largest absolute difference of two outputs.

    Returns:
        NaN where one has a number and the other has none; None where shapes or paths differ, or
        there are no elements to compare.
    """
    gaps = []
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    if [path for path, _ in first] != [path for path, _ in second]:
        return None
    for (_, tensor), (_, twin) in zip(first, second, strict=True):
        if tensor.is_nested or tensor.is_meta or tensor.shape != twin.shape:
            return None
        gaps.append(_gap(_plain(tensor), _plain(twin)))
    return torch.stack(gaps).max().item() if gaps else 0.0


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements as real or complex numbers of double precision, on the CPU."""
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _gap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    same = (one == other) | (one.isnan() & other.isnan())
    gaps = (one - other).abs().masked_fill(same, 0.0).flatten()
    return gaps.max() if gaps.numel() else torch.zeros((), dtype=torch.float64)
