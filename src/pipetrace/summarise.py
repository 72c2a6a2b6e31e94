"""The only door from tensors to records: shapes, statistics, real values of one row."""

from __future__ import annotations

import math

import torch

from pipetrace.records import Tensor

EXACT = 1 << 18
"""Up to this many elements statistics are exact; above, they are of a sample about this large."""
ROW = 32
"""How many values of a row are kept."""
_NONE = (None, None, None, None)


def describe(tensor: torch.Tensor, *, row: int | None = None, values: bool = True) -> Tensor:
    """Say what is known of a tensor.

    Args:
        tensor: Of any shape, dtype, layout and device; it is not changed.
        row: Index into the first dimension: the sample whose values are shown. None shows the
            first values of the whole tensor.
        values: Whether real values may be kept at all; without them a single element has no
            statistics either, for they would be its value.

    Returns:
        Shape, dtype, device and statistics, computed in float64, over all elements (up to `EXACT`
        of them) or over an evenly spread sample; complex elements count as their magnitudes.
        Where elements cannot be read (a meta tensor, a large sparse one), `count` is 0.

    >>> described = describe(torch.tensor([[1.0, 0.0], [3.0, float("nan")]]), row=1)
    >>> described.shape, described.maximum, described.zeros, described.nans, described.row
    ((2, 2), 3.0, 0.25, 1, (3.0, nan))
    """
    # No function mode and no tensor subclass of the program may hear of what is asked here.
    with torch._C.DisableTorchFunction():
        return _describe(tensor, row, values)


def shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return a tensor's sizes; of a nested tensor, whose rows differ, how many it has."""
    if tensor.is_nested:
        return (int(tensor.size(0)),)
    return tuple(map(int, tensor.shape))


def values(tensor: torch.Tensor, most: int = ROW) -> tuple[float, ...]:
    """Return the first `most` elements as floats; complex ones as magnitudes."""
    with torch._C.DisableTorchFunction():
        flat = _elements(tensor)
        return () if flat is None else _floats(flat[:most])


def pick(tensor: torch.Tensor, row: int | None) -> torch.Tensor:
    """Return one row of a batch, or the tensor itself where it has no such row."""
    if row is None or tensor.dim() == 0 or row >= tensor.shape[0]:
        return tensor
    return tensor[row]


def _describe(tensor: torch.Tensor, row: int | None, values: bool) -> Tensor:
    form = shape(tensor)
    kind, device = str(tensor.dtype).removeprefix("torch."), str(tensor.device)
    flat = _elements(tensor)
    if flat is None or not (total := flat.numel()):
        return Tensor(shape=form, dtype=kind, device=device)
    sampled = _double(flat if total <= EXACT else flat[:: _stride(total, form)])
    count = sampled.numel()
    zeros = (count - int(sampled.count_nonzero())) / count
    finite, nans, edges = sampled, 0, _edges(sampled)
    if not all(map(math.isfinite, edges)):
        finite, nans = sampled[sampled.isfinite()], int(sampled.isnan().sum())
        edges = _edges(finite) if finite.numel() else ()
    infinities = count - finite.numel() - nans
    told = bool(edges) and (values or count > 1)
    mean, std, low, high = (*_moments(finite, *edges), *edges) if told else _NONE
    shown, width = _row(flat, form, row) if values and not tensor.is_nested else ((), 0)
    return Tensor(
        shape=form, dtype=kind, device=device, count=count, exact=count == total, mean=mean,
        std=std, minimum=low, maximum=high, zeros=zeros, nans=nans, infinities=infinities,
        row=shown, row_count=width,
    )  # fmt: skip


def _elements(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the elements as one real vector, row after row; None where they cannot be read."""
    try:
        tensor = tensor.detach()
        if tensor.is_meta:
            return None
        if tensor.is_nested:
            tensor = torch.cat([part.reshape(-1) for part in tensor.unbind()])
        elif tensor.layout != torch.strided:
            if tensor.numel() > EXACT:
                return None
            tensor = tensor.to_dense()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.is_complex():
            tensor = tensor.abs()
        return tensor.reshape(-1)
    except Exception:
        # A tensor subclass may refuse anything, with any exception.
        return None


def _double(flat: torch.Tensor) -> torch.Tensor:
    """Copy elements to the CPU, then to float64: not every device has it."""
    return flat.cpu().to(torch.float64, copy=True)


def _floats(flat: torch.Tensor) -> tuple[float, ...]:
    # A tensor's own tolist takes ten times as long.
    return tuple(_double(flat).numpy().tolist())


def _edges(numbers: torch.Tensor) -> tuple[float, ...]:
    """Return minimum and maximum, both NaN where one element is."""
    low, high = torch.aminmax(numbers)
    return low.item(), high.item()


def _moments(finite: torch.Tensor, low: float, high: float) -> tuple[float, float]:
    """Return mean and standard deviation (of all, not of a sample); the numbers are used up."""
    if low == high:
        return low, 0.0
    # Where squares would overflow or vanish, the unit is the largest number.
    unit = 1.0 if 1e-150 < high - low < 1e150 else max(-low, high)
    if unit != 1.0:
        finite.div_(unit)
    mean = finite.sum().item() / finite.numel()
    # In place: a second vector of this size would double the time, by page faults.
    centred = finite.sub_(mean)
    return mean * unit, math.sqrt(torch.dot(centred, centred).item() / finite.numel()) * unit


def _row(
    flat: torch.Tensor, form: tuple[int, ...], row: int | None
) -> tuple[tuple[float, ...], int]:
    """Return the first values of a row, or of everything, and how many there are."""
    start, width = 0, flat.numel()
    if row is not None and form and row < form[0]:
        width //= form[0]
        start = row * width
    return _floats(flat[start : start + min(width, ROW)]), width


def _stride(count: int, form: tuple[int, ...]) -> int:
    """Return a step that spreads the sample over rows *and* columns: coprime to the last size."""
    step = math.ceil(count / EXACT)
    while form and math.gcd(step, form[-1]) > 1:
        step += 1
    return step
