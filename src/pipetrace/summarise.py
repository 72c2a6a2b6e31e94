"""The only door from tensors to records: shapes, statistics, real values of one row."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch

from pipetrace.parts import Tensor

EXACT = 1 << 16
"""Up to this many elements statistics are exact; above, they are of a sample."""
ROW = 32
"""How many values of a row are kept."""
BLOCKS, BLOCK = 128, ROW
"""A sample is so many blocks of so many neighbours, spread over all elements; the first block is
what is shown of the first row."""
_QUANTISED = (torch.quint8, torch.qint8, torch.qint32, torch.quint4x2, torch.quint2x4)
_NONE = (None, None, None, None)
_GOLDEN = 0.618


class Held(NamedTuple):
    """What is kept of a tensor for later: its elements may change, and it may go."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    total: int = 0
    numbers: torch.Tensor | None = None
    """All elements, or a sample of them, on the tensor's device."""
    start: int = 0
    """Where among all elements the shown row begins."""
    width: int = 0
    row: torch.Tensor | None = None
    """The first values of the row, where `numbers` is a sample."""


class Room:
    """Memory for samples, many at a time.

    Small pieces of memory between large tensors leave holes in which no large tensor fits any more:
    a forward of BERT-base would take a hundred megabytes more at times.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}

    def keep(self, sample: torch.Tensor) -> torch.Tensor:
        """Return a copy of a sample of shape (BLOCKS, BLOCK)."""
        key = sample.dtype, sample.device
        free = self._free.get(key)
        if not free:
            space = torch.empty(64, BLOCKS, BLOCK, dtype=sample.dtype, device=sample.device)
            free = self._free[key] = list(space.unbind())
        return free.pop().copy_(sample)


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


def hold(
    tensor: torch.Tensor, row: int | None = None, *, rows: int | None = None, values: bool = True,
    room: Room | None = None,
) -> Held:  # fmt: skip
    """Keep of a tensor what `told` needs: at most 256 kB in float32.

    On large models the time goes into calls of PyTorch's, not into copying: there are few.

    Args:
        tensor: Of any kind; it is not changed.
        row: Index into the first dimension; None for the whole tensor.
        rows: Cut to the row only if the tensor has as many rows as this; None if it has any.
        values: Whether the row's values are kept.
        room: Where samples are put; None for memory of their own.
    """
    dtype, device = tensor.dtype, tensor.device
    if tensor.layout is not torch.strided or tensor.is_nested or dtype in _QUANTISED:
        return _hold_other(tensor, row, values)
    form = tuple(tensor.shape)
    total = tensor.numel()
    # What a transform such as vmap works on must not outlive it.
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    if total == 0 or wrapped or device.type == "meta":
        return Held(form, dtype, device)
    start, width = 0, total if values else 0
    if row is not None and form and row < form[0] and rows in (None, form[0]):
        width //= form[0]
        start = row * width
    try:
        if tensor.requires_grad:
            tensor = tensor.detach()
        if total <= EXACT:
            return Held(form, dtype, device, total, tensor.clone(), start, width)
        if not tensor.is_contiguous() and not _is_dense(tensor):
            tensor = tensor.reshape(-1)
        # In the order of memory: which elements are drawn does not matter, only how evenly.
        first = tensor.storage_offset()
        spread = tensor.as_strided((BLOCKS, BLOCK), (_step(total, form), 1), first)
        sample = spread.clone() if room is None else room.keep(spread)
        shown = None
        if start or not tensor.is_contiguous():
            shown = _row(tensor.reshape(form), row if start or width < total else None)
        return Held(form, dtype, device, total, sample, start, width, shown)
    except Exception:
        # A tensor subclass may refuse anything, with any exception.
        return Held(form, dtype, device)


def _hold_other(tensor: torch.Tensor, row: int | None, values: bool) -> Held:
    """Hold a nested, sparse or quantised tensor by its elements as one vector."""
    form = shape(tensor)
    flat = _elements(tensor)
    if flat is None or not flat.numel():
        return Held(form, tensor.dtype, tensor.device)
    if not tensor.is_nested:
        held = hold(flat.reshape(form), row, values=values)
    else:
        # Rows of different lengths are not shown.
        held = hold(flat, values=False)
    return held._replace(shape=form, dtype=tensor.dtype, device=tensor.device)


def _row(tensor: torch.Tensor, row: int | None) -> torch.Tensor:
    return pick(tensor, row).reshape(-1)[:ROW].clone()


def told(held: Held, *, values: bool = True) -> Tensor:
    """Say in a record what was held of a tensor: see `describe`."""
    kind, device = str(held.dtype).removeprefix("torch."), str(held.device)
    if held.numbers is None:
        return Tensor(shape=held.shape, dtype=kind, device=device)
    numbers = _double(held.numbers.reshape(-1))
    count = numbers.numel()
    row: tuple[float, ...] = ()
    if values and held.width:
        shown = numbers[held.start :] if held.row is None else held.row
        row = _floats(shown.reshape(-1)[: min(held.width, ROW)])
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


def whole(held: Held, most: int) -> tuple[float, ...]:
    """Return all values of the row that is shown; none where they are too many or not all held.

    Args:
        held: What was held of a tensor.
        most: The longest row that is returned.

    >>> whole(hold(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1), 300)
    (3.0, 4.0)
    """
    if held.numbers is None or held.numbers.numel() != held.total or held.width > most:
        return ()
    return _floats(held.numbers.reshape(-1)[held.start :][: held.width])


def shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return a tensor's sizes; of a nested tensor, whose rows differ, how many it has."""
    if tensor.is_nested:
        return (int(tensor.size(0)),)
    return tuple(tensor.shape)


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
