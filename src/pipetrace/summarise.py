"""The only door from tensors to records: shapes, statistics, real values of one row."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch

from pipetrace.parts import Tensor

EXACT = 1 << 16
"""Up to this many elements statistics are exact; above, they are of a sample."""
BLOCKS, BLOCK = 256, 16
"""A sample is so many blocks of so many neighbours, spread over all elements."""
ROW = 32
"""How many values of a row are kept."""
_NONE = (None, None, None, None)
_GOLDEN = 0.618


class Held(NamedTuple):
    """What is kept of a tensor for later: its elements may change, and it may go."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    total: int = 0
    numbers: torch.Tensor | None = None
    """All elements, or a sample of them, on the tensor's device; shape (count,)."""
    start: int = 0
    """Where among all elements the shown row begins."""
    width: int = 0
    row: torch.Tensor | None = None
    """The first values of the row, where `numbers` is a sample."""


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
        return told(hold(tensor, row, values=values), values=values)


def hold(tensor: torch.Tensor, row: int | None = None, *, values: bool = True) -> Held:
    """Keep of a tensor what `told` needs: a few microseconds, and at most 256 kB in float32.

    Args:
        tensor: Of any kind; it is not changed.
        row: Index into the first dimension; None for the whole tensor.
        values: Whether the row's values are kept.
    """
    form = shape(tensor)
    nothing = Held(form, tensor.dtype, tensor.device)
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        # What a transform such as vmap works on must not outlive it.
        return nothing
    total = tensor.numel()
    if total == 0 or tensor.is_meta:
        return nothing
    start, width = 0, total if values and not tensor.is_nested else 0
    if row is not None and form and row < form[0]:
        width //= form[0]
        start = row * width
    try:
        tensor = tensor.detach()
        if total > EXACT and tensor.layout is torch.strided and _is_dense(tensor):
            # In the order of memory: which elements are drawn does not matter, only how evenly.
            elements, first = tensor, tensor.storage_offset()
            shown = pick(tensor, row)
        else:
            flat = _elements(tensor)
            if flat is None:
                return nothing
            elements, first, total = flat, 0, flat.numel()
            shown = flat[start:]
            width = min(width, total)
        if total <= EXACT:
            numbers, kept = elements.reshape(-1).clone(), None
        else:
            numbers = elements.as_strided((BLOCKS, BLOCK), (_step(total, form), 1), first).clone()
            kept = shown.reshape(-1)[: min(width, ROW)].clone()
    except Exception:
        # A tensor subclass may refuse anything, with any exception.
        return nothing
    return Held(form, tensor.dtype, tensor.device, total, numbers, start, width, kept)


def told(held: Held, *, values: bool = True) -> Tensor:
    """Say in a record what was held of a tensor: see `describe`."""
    kind, device = str(held.dtype).removeprefix("torch."), str(held.device)
    if held.numbers is None:
        return Tensor(shape=held.shape, dtype=kind, device=device)
    numbers = _double(held.numbers.reshape(-1))
    count = numbers.numel()
    row: tuple[float, ...] = ()
    if values and held.width:
        shown = numbers[held.start : held.start + min(held.width, ROW)]
        row = _floats(shown if held.row is None else held.row)
    zeros = (count - int(numbers.count_nonzero())) / count
    finite, nans, edges = numbers, 0, _edges(numbers)
    if not all(map(math.isfinite, edges)):
        finite, nans = numbers[numbers.isfinite()], int(numbers.isnan().sum())
        edges = _edges(finite) if finite.numel() else ()
    infinities = count - finite.numel() - nans
    known = bool(edges) and (values or count > 1)
    mean, std, low, high = (*_moments(finite, *edges), *edges) if known else _NONE
    return Tensor(
        shape=held.shape, dtype=kind, device=device, count=count, exact=count == held.total,
        mean=mean, std=std, minimum=low, maximum=high, zeros=zeros, nans=nans,
        infinities=infinities, row=row, row_count=held.width if values else 0,
    )  # fmt: skip


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
        return tensor.reshape(-1)
    except Exception:
        # A tensor subclass may refuse anything, with any exception.
        return None


def _is_dense(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor's elements lie side by side in memory, in whatever order."""
    if tensor.is_nested or tensor.is_quantized:
        return False
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def _double(flat: torch.Tensor) -> torch.Tensor:
    """Copy elements to the CPU, then to float64: not every device has it."""
    real = flat.abs() if flat.is_complex() else flat
    return real.cpu().to(torch.float64, copy=True)


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


@functools.lru_cache(maxsize=4096)
def _step(total: int, form: tuple[int, ...]) -> int:
    """Return how far apart the sample's blocks begin.

    A step that shares a factor with the last dimension would walk down the same columns; one whose
    remainder is near the golden section of it visits them evenly.
    """
    longest = max(1, (total - BLOCK) // (BLOCKS - 1))
    last = form[-1] if form else 1
    step = longest - (longest - round(_GOLDEN * last)) % last if last < longest else longest
    while step > 1 and math.gcd(step, last) > 1:
        step -= 1
    return step


def finite(tensor: torch.Tensor) -> bool:
    """Tell whether all elements are finite; of those that cannot be read it is not known: True."""
    flat = _elements(tensor)
    if flat is None or not (flat.is_floating_point() or flat.is_complex()):
        return True
    return bool(flat.isfinite().all())
