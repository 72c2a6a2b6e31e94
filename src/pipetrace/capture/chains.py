"""Random numbers that become zeros and ones and meet data are a dropout written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from pipetrace.capture import names
from pipetrace.capture.draws import drawing
from pipetrace.capture.flags import counted
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Mask
from pipetrace.summarise import ROW, pick

_UNIFORM = {"rand", "rand_like", "uniform"}
_SAME = {
    "to", "float", "half", "bfloat16", "double", "bool", "int", "long", "type", "type_as", "view",
    "reshape", "unsqueeze", "expand", "expand_as", "contiguous", "clone", "detach",
}  # fmt: skip
_BELOW, _ABOVE = {"lt", "le", "less", "less_equal"}, {"gt", "ge", "greater", "greater_equal"}
_OPPOSITE = {"logical_not", "bitwise_not", "invert", "rsub"}


class Random(NamedTuple):
    """What an op's output is known to be: uniform numbers, or zeros and a number."""

    shift: float | None = 0.0
    """Uniform in [shift, shift + 1); None for zeros and `scale`."""
    share: float | None = None
    """The probability of not being zero, where it is one number."""
    scale: float = 1.0


def masks(heard: Sequence[Heard], *, rows: int | None, row: int) -> dict[int, Mask | str]:
    """Return the masks of dropout by hand, each by the op in which it meets the data.

    Known are a Bernoulli draw, and uniform numbers that are compared or rounded down, scaled or
    not: stochastic depth is written in these ways too.

    Args:
        heard: The ops of a forward, in order.
        rows: The batch's length.
        row: The sample whose flags are kept.
    """
    known: dict[int, Random] = {}
    found: dict[int, Mask | str] = {}
    for index, op in enumerate(heard):
        name = op.plan.name.removesuffix("_")
        drawn = [link.index for link in op.links if link.index in known]
        if op.draw is not None and name in _UNIFORM | {"bernoulli"}:
            begun = _begin(op, name, heard)
            if begun is not None:
                known[index] = begun
        elif len(drawn) == 1 and drawn[0] is not None:
            before = known[drawn[0]]
            if len(op.links) == 1:
                after = _next(before, name, _number(op))
                if after is not None:
                    known[index] = after
            elif before.shift is None and (met := _meets(op, name, drawn[0])) is not None:
                found[index] = _mask(heard, index, drawn[0], before, met, rows, row)
    return found


def _begin(op: Heard, name: str, heard: Sequence[Heard]) -> Random | None:
    told = names.arguments(op.plan, op.told)
    if name != "bernoulli":
        usual = told.get("from", 0) == 0 and told.get("to", 1) == 1
        return Random() if usual else None
    if not told and op.plan.name == "bernoulli_":
        return Random(None, 0.5)
    if isinstance(told.get("p"), float | int):
        return Random(None, float(told["p"]))
    source = op.links[0].index if op.plan.name == "bernoulli" and op.links else None
    if source is not None and (given := heard[source].made[0]).numbers is not None:
        low, high = torch.aminmax(given.numbers)
        return Random(None, float(low) if low == high else None)
    return Random(None)


def _next(before: Random, name: str, number: float | None) -> Random | None:
    """Return what comes of random numbers in an op with one number; None if nothing known."""
    if name in _SAME:
        return before
    if before.shift is None:
        if name in _OPPOSITE and number in (None, 1) and before.scale == 1:
            return Random(None, None if before.share is None else 1 - before.share)
        if number and name in ("mul", "div"):
            scale = before.scale * number if name == "mul" else before.scale / number
            return before._replace(scale=scale)
        return None
    if name == "floor" and 0 <= before.shift <= 1:
        return Random(None, before.shift)
    if number is None:
        return None
    if name in ("add", "sub"):
        return Random(before.shift + (number if name == "add" else -number))
    if name in _BELOW | _ABOVE:
        below = min(1.0, max(0.0, number - before.shift))
        return Random(None, below if name in _BELOW else 1 - below)
    return None


def _number(op: Heard) -> float | None:
    return next((float(v) for _, v in op.told if type(v) in (float, int)), None)


def _meets(op: Heard, name: str, mask: int) -> bool | None:
    """Tell whether an op keeps data where the mask is one (else where it is zero); None if neither.

    That is `x * mask`, `where(mask, x, 0)`, `where(mask, 0, x)` and `x.masked_fill(mask, 0)`.
    """
    places = [place for place, _ in op.told]
    if name == "mul":
        return True
    if name == "where" and op.links[0].index == mask:
        return 1 not in places
    return False if name == "masked_fill" and op.links[1].index == mask else None


def _mask(
    heard: Sequence[Heard], index: int, mask: int, known: Random, kept_where_one: bool,
    rows: int | None, row: int,
) -> Mask | str:  # fmt: skip
    if known.share is None:
        return "its probability is not one number"
    with torch._C.DisableTorchFunction(), torch.no_grad():
        try:
            flags = _values(heard, mask) != 0
        except Exception:
            return "its random numbers could not be drawn again"
    if not kept_where_one:
        flags = ~flags
    share = known.share if kept_where_one else 1 - known.share
    shape, data = tuple(flags.shape), heard[index].made[0].shape
    of_row = pick(flags, row) if rows is not None and shape[:1] == (rows,) else flags
    scale = known.scale if kept_where_one else 1.0
    return counted(flags, 1 - share, scale * _around(heard, index, mask, share),
                   tuple(of_row.reshape(-1)[:ROW].tolist()), _unit(shape, data, rows))  # fmt: skip


def _around(heard: Sequence[Heard], index: int, mask: int, share: float) -> float:
    """Return the scale that data got right before it met the mask, or right after."""
    op = heard[index]
    data = next((link.index for link in op.links if link.index != mask), None)
    after = (h for h in heard[index + 1 : index + 3] if any(i.index == index for i in h.links))
    for one in (*([] if data is None else [heard[data]]), *after):
        number = _number(one)
        if len(one.links) == 1 and number and one.plan.name.removesuffix("_") in ("div", "mul"):
            scale = number if one.plan.name.startswith("mul") else 1 / number
            if abs(scale * share - 1) < 1e-6:
                return scale
    return 1.0


def _unit(mask: tuple[int, ...], data: tuple[int, ...], rows: int | None) -> str:
    """Return what a mask of this shape drops of data of that shape."""
    wide = [place for place, size in enumerate(mask) if size > 1]
    if not wide:
        return "rows" if rows == 1 else "batches"
    if wide == [0] and len(mask) == len(data) > 1:
        return "rows"
    return "channels" if wide[-1] == 1 and len(mask) == len(data) > 2 else "elements"


def _values(heard: Sequence[Heard], index: int) -> torch.Tensor:
    """Return all elements of an op's output: those kept, else those of the op done again."""
    op, held = heard[index], heard[index].made[0]
    if held.numbers is not None and held.numbers.numel() == held.total:
        return held.numbers.reshape(held.shape)
    if op.draw is not None:
        given = [torch.zeros_like(form, device=held.device) for form in op.draw.forms]
    else:
        given = [_values(heard, link.index).clone() for link in op.links if link.index is not None]
    positional: dict[int, Any] = {p: v for p, v in op.told if isinstance(p, int)}
    keywords = {p: v for p, v in op.told if isinstance(p, str) and p != "generator"}
    waiting = iter(given)
    count = len(positional) + len(given)
    arguments = [positional[i] if i in positional else next(waiting) for i in range(count)]
    if op.draw is not None and op.draw.generator is not torch.default_generator:
        keywords["generator"] = op.draw.generator
    with drawing(op.draw):
        made = op.plan.function(*arguments, **keywords)
    assert isinstance(made, torch.Tensor)
    return made
