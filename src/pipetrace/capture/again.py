"""An op's output that was not kept whole is computed again, from what it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pipetrace.capture.draws import drawing
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Link

_FILL = {"full", "full_like", "new_full", "fill", "zeros", "zeros_like", "new_zeros", "zero",
         "ones", "ones_like", "new_ones"}  # fmt: skip
_SAME = {
    "to", "float", "half", "bfloat16", "double", "type", "type_as", "view", "reshape", "unsqueeze",
    "expand", "expand_as", "broadcast_to", "contiguous", "clone", "mul", "div", "add", "sub",
    "rsub",
}  # fmt: skip


def number(op: Heard) -> float | None:
    """Return the one number among an op's arguments; None where there are none or several."""
    found = [float(value) for _, value in op.told if type(value) in (float, int)]
    return found[0] if len(found) == 1 else None


def constant(heard: Sequence[Heard], link: Link) -> float | None:
    """Return the number that all elements of a tensor are; None where they differ or are not known.

    Args:
        heard: The ops of a forward.
        link: Where the tensor came from.
    """
    if link.index is None or len((op := heard[link.index]).made) > 1:
        return None
    held, inner = op.made[0], None
    if held.numbers is None or held.numbers.numel() < held.total:
        # A sample proves nothing: what filled the tensor must tell.
        name = op.plan.name.removesuffix("_")
        if name not in _FILL:
            if len(op.links) != 1 or name not in _SAME:
                return None
            inner = constant(heard, op.links[0])
            if inner is None:
                return None
    if held.numbers is None:
        return inner
    if held.numbers.is_complex():
        return None
    low, high = torch.aminmax(held.numbers)
    return float(low) if low == high else None


def values(heard: Sequence[Heard], index: int) -> torch.Tensor:
    """Return all elements of an op's output: those kept, else those of the op done again.

    A draw is made from the generator's state before it; what it was given counts only where it is
    one number. Other ops are done on what they were given, which other ops must have made.

    Args:
        heard: The ops of a forward.
        index: Which of them.

    Raises:
        LookupError: something that it was given is no op's output.
    """
    op, held = heard[index], heard[index].made[0]
    if held.numbers is not None and held.numbers.numel() == held.total:
        return held.numbers.reshape(held.shape)
    if op.draw is not None:
        given = [
            form.filled(constant(heard, link) or 0, held.device)
            for form, link in zip(op.draw.forms, op.links, strict=True)
        ]
    else:
        given = [_given(heard, link) for link in op.links]
    positional: dict[int, Any] = {place: v for place, v in op.told if isinstance(place, int)}
    keywords = {p: v for p, v in op.told if isinstance(p, str) and p != "generator"}
    waiting = iter(given)
    count = len(positional) + len(given)
    arguments = [positional[i] if i in positional else next(waiting) for i in range(count)]
    if op.draw is not None and op.draw.generator is not torch.default_generator:
        keywords["generator"] = op.draw.generator
    if not given:
        # The program's defaults may be others now.
        keywords = {"device": held.device, "dtype": held.dtype, **keywords}
    with drawing(op.draw):
        made = op.plan.function(*arguments, **keywords)
    assert isinstance(made, torch.Tensor)
    return made


def _given(heard: Sequence[Heard], link: Link) -> torch.Tensor:
    number = constant(heard, link)
    if number is not None and link.index is not None:
        held = heard[link.index].made[0]
        return torch.full(held.shape, number, dtype=held.dtype, device=held.device)
    if link.index is None:
        raise LookupError(f"the {link.source} {link.name} was not kept")
    # The op may write into it.
    return values(heard, link.index).clone()
