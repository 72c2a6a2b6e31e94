"""Where tensors keep their elements: how many bytes that takes, and whether two share some."""

from __future__ import annotations

from typing import NamedTuple

import torch

_MOST = 32
"""So many ways for two tensors to meet are followed; of more it is taken that they do."""


class Region(NamedTuple):
    """The bytes of a storage that a tensor covers."""

    start: int
    dims: tuple[tuple[int, int], ...]
    """Stride in bytes and size of each dimension, the longest stride first."""


def place(tensor: torch.Tensor) -> int:
    """Return what tensors have in common that share a storage; where there is none, the id."""
    try:
        storage = tensor.untyped_storage()
        # Where nothing is allocated all addresses are 0.
        return storage.data_ptr() or int(storage._cdata)
    except Exception:
        # Sparse tensors have no storage, and a subclass may refuse to tell.
        return id(tensor)


def size(tensor: torch.Tensor) -> int:
    """Return how many bytes a tensor's elements take."""
    if tensor.is_nested or tensor.is_meta:
        return 0
    if tensor.layout is torch.strided:
        return tensor.numel() * tensor.element_size()
    return sum(map(size, _parts(tensor.detach())))


def allocated(tensor: torch.Tensor) -> int:
    """Return how many bytes live as long as a tensor does: those of its whole storage."""
    try:
        return 0 if tensor.is_meta else tensor.untyped_storage().nbytes()
    except Exception:
        # Sparse tensors have no storage, and a subclass may refuse to tell.
        return size(tensor)


def region(tensor: torch.Tensor) -> Region | None:
    """Return which bytes of its storage a tensor covers; None where that is not known."""
    try:
        if tensor.layout is not torch.strided or tensor.is_nested or tensor.numel() == 0:
            return None
        width = tensor.element_size()
        start, strides = int(tensor.storage_offset()) * width, tensor.stride()
        pairs = zip(strides, tensor.shape, strict=True)
        dims = [(stride * width, count) for stride, count in pairs if count > 1 and stride]
    except Exception:
        # A tensor subclass may refuse to tell.
        return None
    return Region(start, _merged(sorted([*dims, (1, width)], reverse=True)))


def meet(one: Region | None, other: Region | None) -> bool:
    """Tell whether two regions of a storage share a byte; True where that is too hard to say.

    >>> halves = torch.zeros(4, 6).chunk(2, dim=1)
    >>> meet(region(halves[0]), region(halves[1])), meet(region(halves[0]), region(halves[0].T))
    (False, True)
    """
    if one is None or other is None:
        return True
    return _meet(one.dims, other.dims, other.start - one.start)


def _meet(one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...], gap: int) -> bool:
    """Tell it of dimensions, the second's beginning so many bytes after the first's."""
    if not -_span(other) <= gap <= _span(one):
        return False
    if not one and not other:
        return True
    stride = max(dims[0][0] for dims in (one, other) if dims)
    count, one = _split(one, stride)
    others, other = _split(other, stride)
    # Steps of this stride by which the first may be ahead where the two meet.
    low = max(1 - others, -(-(gap - _span(one)) // stride))
    high = min(count - 1, (gap + _span(other)) // stride)
    return high - low > _MOST or any(
        _meet(one, other, gap - steps * stride) for steps in range(low, high + 1)
    )


def _split(
    dims: tuple[tuple[int, int], ...], stride: int
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Take the first dimension off where it has this stride."""
    return (dims[0][1], dims[1:]) if dims and dims[0][0] == stride else (1, dims)


def _span(dims: tuple[tuple[int, int], ...]) -> int:
    return sum(stride * (count - 1) for stride, count in dims)


def _merged(dims: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Make one dimension of neighbours that lie side by side."""
    merged = dims[:1]
    for stride, count in dims[1:]:
        if merged[-1][0] == stride * count:
            merged[-1] = (stride, merged[-1][1] * count)
        else:
            merged.append((stride, count))
    return tuple(merged)


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the dense tensors that a sparse one consists of."""
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return []
