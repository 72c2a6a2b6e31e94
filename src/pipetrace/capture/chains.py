"""Random numbers that become zeros and ones and meet data are a dropout written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from pipetrace.capture import again, names
from pipetrace.capture.flags import counted
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Mask
from pipetrace.summarise import ROW, pick

_UNIFORM = {"rand", "rand_like", "uniform"}
_NOISE = ("randn", "normal_", "exponential_")
_CHOSEN = {"multinomial", "randperm"}
_TYPES = {
    "to", "float", "half", "bfloat16", "double", "bool", "int", "long", "byte", "type", "type_as",
    "contiguous", "clone", "cuda", "cpu",
}  # fmt: skip
_SHAPES = {
    "view", "view_as", "reshape", "reshape_as", "unsqueeze", "squeeze", "flatten", "expand",
    "expand_as", "broadcast_to", "repeat", "getitem", "permute", "transpose", "t", "T", "mT",
}  # fmt: skip
_MARKS = {"scatter", "one_hot", "setitem", "index_fill", "isin", "argsort", "gather"}
_BELOW, _ABOVE = {"lt", "le", "less", "less_equal"}, {"gt", "ge", "greater", "greater_equal"}
_EQUAL = {"eq": True, "ne": False}
_OPPOSITE = {"logical_not", "bitwise_not", "invert", "rsub"}
_SEVERAL = "its probability is a tensor, and not known to be one number"


class Random(NamedTuple):
    """What an op's output is known to be: uniform numbers, or zeros and one other number."""

    root: int
    """The op that drew."""
    source: int
    """The op whose output has one flag for each thing that was drawn; later ones may repeat it."""
    shift: float | None = None
    """Uniform in [shift, shift + 1), NaN where that is not known; None for zeros and `scale`."""
    share: float | None = None
    """The probability of not being zero, where it is one number."""
    scale: float = 1.0
    opposite: bool = False
    """It is zero where the source is not."""
    above: bool = False
    """It is not zero where the numbers drawn were large."""
    why: str = ""
    """What keeps its flags from being drawn independently."""


class Met(NamedTuple):
    """A mask that met data."""

    mask: Mask
    root: int
    above: bool
    """What was kept is where the numbers drawn were large."""


def masks(heard: Sequence[Heard], *, rows: int | None, row: int) -> dict[int, Mask | str]:
    """Return the masks of dropout by hand, each by the op in which it meets the data.

    Known are a Bernoulli draw, and uniform numbers that are compared or rounded, scaled or not:
    stochastic depth is written in these ways too. Where the same draw chooses between two data,
    or noise is added to some elements only, nothing is dropped, and there is no mask.

    Args:
        heard: The ops of a forward, in order.
        rows: The batch's length.
        row: The sample whose flags are kept.
    """
    known: dict[int, Random] = {}
    found: dict[int, Met | str] = {}
    noise: set[int | None] = set()
    for index, op in enumerate(heard):
        if op.draw is None and not known and not noise:
            continue
        name = op.plan.name.removesuffix("_")
        drawn = [place for place, link in enumerate(op.links) if link.index in known]
        if op.plan.name.startswith(_NOISE) or (
            op.links and noise.issuperset([link.index for link in op.links])
        ):
            noise.add(index)
        if op.draw is not None:
            if (begun := _begin(heard, index, name)) is not None:
                known[index] = begun
        elif name == "add" and len(drawn) == 0:
            _forget_choice(op, found)
        elif len(drawn) == 1:
            before = known[op.links[drawn[0]].index or 0]
            after = _next(heard, index, name, before, drawn[0])
            if after is not None:
                known[index] = after
            elif before.shift is None and not noise.isdisjoint([i.index for i in op.links]):
                # Noise that is drawn for some of the elements only is noise.
                noise.add(index)
            elif before.shift is None and (met := _meets(heard, op, name, drawn[0])) is not None:
                found[index] = _met(heard, index, drawn[0], before, met, rows, row)
    said = {index: met.mask if isinstance(met, Met) else met for index, met in found.items()}
    return {index: mask for index, mask in said.items() if mask != ""}


def _begin(heard: Sequence[Heard], index: int, name: str) -> Random | None:
    op = heard[index]
    told = names.arguments(op.plan, op.told)
    if name in _UNIFORM:
        usual = told.get("from", 0) == 0 and told.get("to", 1) == 1
        return Random(index, index, 0.0) if usual else None
    if name in _CHOSEN:
        return Random(index, index, why=f"{name} drew it, not one flag after the other")
    if name == "randint":
        ends = [float(v) for _, v in op.told if type(v) is int]
        return Random(index, index, share=0.5) if ends in ([2], [0, 2]) else None
    if name == "binomial":
        return Random(index, index, why=_SEVERAL)
    if name != "bernoulli":
        return None
    if (number := again.number(op)) is not None:
        return Random(index, index, share=number)
    if op.plan.name == "bernoulli_" and len(op.links) == 1:
        return Random(index, index, share=0.5)
    share = again.constant(heard, op.links[-1])
    return Random(index, index, share=None if share is None else float(f"{share:.7g}"))


def _next(
    heard: Sequence[Heard], index: int, name: str, before: Random, place: int
) -> Random | None:
    """Return what comes of random numbers in an op; None where nothing is known of it."""
    op, alone = heard[index], len(heard[index].links) == 1
    if before.why:
        return before if name in _TYPES | _SHAPES | _MARKS | _BELOW | _ABOVE | {"eq"} else None
    if name in _TYPES:
        return before if place == 0 else None
    if name in _SHAPES:
        return _reshaped(heard, index, before) if place == 0 else None
    if alone:
        number = again.number(op)
    elif _is_beside(op, place, before):
        number = again.constant(heard, op.links[1 - place])
    else:
        return None
    if before.shift is None:
        return _next_flag(name, before, number)
    if name in ("floor", "ceil", "round") and alone:
        return _rounded(index, name, before)
    if name in _BELOW | _ABOVE:
        # In `number > drawn` it is the small ones that are true.
        above = (name in _ABOVE) == (place == 0)
        share = None
        if number is not None and not math.isnan(before.shift):
            below = min(1.0, max(0.0, number - before.shift))
            share = 1 - below if above else below
        return Random(before.root, index, share=share, above=above)
    number = math.nan if number is None and not alone else number
    if number is not None and name in ("add", "sub") and place == 0:
        shift = before.shift + (number if name == "add" else -number)
    elif number is not None and name in ("add", "rsub"):
        shift = number + before.shift if name == "add" else number - before.shift - 1
    else:
        return None
    if math.isnan(shift) and math.prod(op.made[0].shape) > 1 and _is_data(op, place):
        return None
    return Random(before.root, index, shift, above=before.above != (name == "rsub"))


def _is_beside(op: Heard, place: int, before: Random) -> bool:
    """Tell whether an op's other tensor is no data: one number, or what numbers are held to."""
    if len(op.links) != 2:
        return False
    single = math.prod(op.shapes[1 - place]) == 1 < math.prod(op.shapes[place])
    return single or (before.shift is not None and op.made[0].shape == op.shapes[place])


def _is_data(op: Heard, place: int) -> bool:
    """Tell whether an op's other tensor has more than one element: noise is added to data."""
    return any(math.prod(s) > 1 for i, s in enumerate(op.shapes) if i != place)


def _reshaped(heard: Sequence[Heard], index: int, before: Random) -> Random | None:
    """Follow a view: one that repeats flags does not make more of what was drawn."""
    size = math.prod(heard[index].made[0].shape)
    link = heard[index].links[0].index
    previous = math.prod(heard[link].made[0].shape) if link is not None else size
    repeated = previous > math.prod(heard[before.source].made[0].shape)
    if size > previous or repeated:
        # Of numbers that repeat, later flags would repeat too; of some of them, none can be told.
        return before if before.shift is None and size >= previous else None
    # The flags as they are now: their shape tells what is dropped.
    return before._replace(source=index, opposite=False)


def _next_flag(name: str, before: Random, number: float | None) -> Random | None:
    """Return what comes of zeros and one other number in an op with a number."""
    turned = before._replace(
        opposite=not before.opposite, above=not before.above, scale=1.0,
        share=None if before.share is None else 1 - before.share,
    )  # fmt: skip
    if name in _OPPOSITE and number in (None, 1) and before.scale == 1:
        return turned
    if number is None:
        return None
    if name in _EQUAL and number in (0, before.scale):
        return turned if _EQUAL[name] == (number == 0) else before._replace(scale=1.0)
    if name in _BELOW | _ABOVE and 0 <= number <= before.scale:
        strict = name in ("gt", "greater", "le", "less_equal")
        if number == (before.scale if strict else 0):
            return None
        return before._replace(scale=1.0) if name in _ABOVE else turned
    if number and name in ("mul", "div"):
        scale = before.scale * number if name == "mul" else before.scale / number
        return before._replace(scale=scale)
    return None


def _rounded(index: int, name: str, before: Random) -> Random | None:
    shift = before.shift
    assert shift is not None
    if name == "round":
        share = 0.5 if shift == 0 else None
    else:
        share = shift if name == "floor" else 1 + shift
    if share is None or share < 0 or share > 1:
        return None
    return Random(before.root, index, share=None if math.isnan(share) else share,
                  above=not before.above)  # fmt: skip


def _meets(heard: Sequence[Heard], op: Heard, name: str, place: int) -> bool | None:
    """Tell whether an op keeps data where the mask is one (else where it is zero); None if neither.

    That is `x * mask`, `where(mask, x, 0)`, `where(mask, 0, x)`, `x.masked_fill(mask, 0)` and
    `x[mask] = 0`, for data of real or complex numbers.
    """
    dtype = op.made[0].dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        return None
    if name == "mul":
        return True if len(op.links) == 2 else None
    zeros = [p for p, value in op.told if type(value) in (float, int, bool) and value == 0]
    if name == "where" and place == 0:
        if len(op.links) == 3:
            tensors = [again.constant(heard, link) == 0 for link in op.links[1:]]
            return None if tensors[0] == tensors[1] else tensors[1]
        return None if not zeros else zeros[0] in (2, "other")
    if name == "where" and op.plan.function is torch.Tensor.where and place == 1:
        return True if zeros and len(op.links) == 2 else None
    if name in ("masked_fill", "setitem") and place == 1:
        filled = again.constant(heard, op.links[2]) == 0 if len(op.links) == 3 else bool(zeros)
        of_all = name == "masked_fill" or op.shapes[1] == op.shapes[0]
        return False if filled and of_all else None
    return None


def _met(
    heard: Sequence[Heard], index: int, place: int, known: Random, kept_where_one: bool,
    rows: int | None, row: int,
) -> Met | str:  # fmt: skip
    link = heard[index].links[place].index
    assert link is not None
    if known.why:
        numbers = heard[link].made[0].numbers
        return known.why if numbers is not None and _marks(numbers) else ""
    if known.share is None:
        return _SEVERAL
    try:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            flags = (again.values(heard, known.source) != 0) != known.opposite
    except Exception as error:
        pass_on(error)
        return "its random numbers could not be drawn again"
    if not kept_where_one:
        flags = ~flags
    share = known.share if kept_where_one else 1 - known.share
    shape, data = tuple(flags.shape), heard[index].made[0].shape
    of_row = pick(flags, row) if rows is not None and shape[:1] == (rows,) else flags
    scale = known.scale if kept_where_one else 1.0
    if scale == 1:
        scale = _around(heard, index, link, share)
    # Of 1 - 0.7 a program's own 0.3 is what is left after rounding.
    mask = counted(flags, round(1 - share, 9), scale if share else 0.0,
                   tuple(of_row.reshape(-1)[:ROW].tolist()), _unit(shape, data, rows))  # fmt: skip
    return Met(mask, known.root, known.above == kept_where_one)


def _marks(numbers: torch.Tensor) -> bool:
    """Tell whether numbers are zeros and one other number."""
    others = numbers[numbers != 0]
    return 0 < others.numel() < numbers.numel() and bool((others == others[0]).all())


def _around(heard: Sequence[Heard], index: int, mask: int, share: float) -> float:
    """Return the scale that data got right before it met the mask, or right after."""
    op = heard[index]
    data = next((link.index for link in op.links if link.index != mask), None)
    places = [*([] if data is None else [data]), *range(index + 1, min(index + 3, len(heard)))]
    scale, end = 1.0, index
    for place in places:
        one = heard[place]
        number, name = again.number(one), one.plan.name.removesuffix("_")
        is_next = len(one.links) == 1 and (place == data or one.links[0].index == end)
        if not is_next or not number or name not in ("div", "mul"):
            continue
        factor = number if name == "mul" else 1 / number
        if abs(factor * share - 1) < 1e-6 or abs(scale * factor * share - 1) < 1e-6:
            return 1 / share
        if place != data:
            scale, end = scale * factor, place
    return 1.0


def _unit(mask: tuple[int, ...], data: tuple[int, ...], rows: int | None) -> str:
    """Return what a mask of this shape drops of data of that shape."""
    wide = [place for place, size in enumerate(mask) if size > 1]
    if not wide:
        return "rows" if rows == 1 else "batches"
    if wide == [0] and len(mask) == len(data) > 1 and rows in (None, mask[0]):
        return "rows"
    return "channels" if wide[-1] == 1 and len(mask) == len(data) > 2 else "elements"


def _forget_choice(op: Heard, found: dict[int, Met | str]) -> None:
    """Take back two masks of one draw that are opposite: their data is put together here."""
    first, *others = [(link.index, found.get(link.index or 0)) for link in op.links] or [(0, "")]
    for index, met in others:
        one = first[1]
        if isinstance(one, Met) and isinstance(met, Met) and one.root == met.root:
            opposite = one.above != met.above and math.isclose(one.mask.p + met.mask.p, 1)
            for place in (first[0], index) if opposite else ():
                found.pop(place or 0)
