"""What an operation dropped at random: its rate, its mask, and its scale on a real element."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipetrace.blocks import Fact, Strip
from pipetrace.records import Mask, Op, Tensor
from pipetrace.story.figures import expected, kept, number, setting
from pipetrace.story.forwards import Forward, source
from pipetrace.story.sentences import plain_name

_INSIDE = {
    "scaled_dot_product_attention": "the attention weights",
    "lstm": "the outputs of every layer but the last",
    "gru": "the outputs of every layer but the last",
    "rnn_tanh": "the outputs of every layer but the last",
    "rnn_relu": "the outputs of every layer but the last",
}
"""What is dropped inside of one operation, where its output no longer shows it."""
_UNITS = {
    "channels": "whole channels are dropped",
    "rows": "stochastic depth: rows are dropped whole",
    "batches": "one draw decides for the whole batch",
}


def dropped(forward: Forward, op: Op) -> Iterator[Fact]:
    """Yield what is known of an operation's mask, or why it cannot be had."""
    mask = op.mask
    if op.mask_missing:
        yield Fact(label="mask", value=f"cannot be had: {op.mask_missing}")
    if mask is None:
        return
    inside = _INSIDE.get(plain_name(op.function))
    yield Fact(label="p", value=setting(mask.p), note=_UNITS.get(mask.unit, ""))
    if inside:
        yield Fact(label="drops", value=inside, note="inside of this one operation")
    yield Fact(label="mask", value=kept(mask), note=expected(mask))
    if inside and 0 < mask.p < 1:
        yield Fact(label="scale", value=f"those kept are multiplied by {number(mask.scale)}")
    elif scaled := _scaled(forward, op):
        yield scaled


def struck(op: Op) -> tuple[bool, ...]:
    """Return which values of an operation's sample row were dropped; empty where none shows it."""
    out = op.outputs[0] if op.outputs else None
    if not op.mask or not out or plain_name(op.function) in _INSIDE:
        return ()
    return _spread(op.mask, out)


def inside(forward: Forward, op: Op) -> Strip | None:
    """Return the mask itself where it lies inside of one operation, 1 for what was kept."""
    if not op.mask or not op.mask.row or plain_name(op.function) not in _INSIDE:
        return None
    flags = op.mask.row
    rows = forward.capture.rows
    whose = f"row {forward.capture.sample}" if rows and rows > 1 else "first elements"
    total = op.mask.total // rows if rows and op.mask.total % rows == 0 else op.mask.total
    return Strip(
        label=f"mask, {whose}",
        values=tuple(float(flag) for flag in flags),
        struck=tuple(not flag for flag in flags),
        total=total if total > len(flags) else 0,
    )


def described(op: Op) -> str:
    """Say what a mask does to an operation that is not named after dropping.

    >>> from pipetrace.records import Mask
    >>> mask = Mask(p=0.2, kept=7, total=8, low=4, high=8, scale=1.25, unit="rows")
    >>> described(Op(capture=0, index=0, function="mul", mask=mask))
    ' A random mask: each row is set to 0 with probability 0.2; those that stay times 1.25.'
    """
    mask = op.mask
    if mask is None or "dropout" in op.function or plain_name(op.function) in _INSIDE:
        return ""
    unit = {"batches": "the whole batch"}.get(mask.unit, f"each {mask.unit.removesuffix('s')}")
    times = f"; those that stay times {setting(mask.scale)}" if mask.scale not in (0, 1) else ""
    return f" A random mask: {unit} is set to 0 with probability {setting(mask.p)}{times}."


def _spread(mask: Mask, out: Tensor) -> tuple[bool, ...]:
    """Return which values are struck: one flag of a row or channel stands for all its values."""
    flags, values = mask.row, len(out.row)
    if flags and len(flags) != values and mask.unit != "elements":
        if out.row_count % len(flags) or (mask.unit == "rows" and len(flags) > 1):
            return ()
        each = out.row_count // len(flags)
        flags = tuple(flags[place // each] for place in range(values))
    return tuple(not flag for flag in flags[:values])


def _scaled(forward: Forward, op: Op) -> Fact | None:
    mask, entered = op.mask, source(forward, op)
    out = op.outputs[0] if op.outputs else None
    if not mask or not entered or not out or entered.shape != out.shape or not 0 < mask.p < 1:
        return None
    gaps = _spread(mask, out)
    for gone, before, after in zip(gaps, entered.row, out.row, strict=False):
        if not gone and before and math.isfinite(before) and "alpha" not in op.function:
            made = before * mask.scale
            close = 1e-5 if out.dtype in ("float32", "float64") else 1e-2
            equal = math.isclose(made, after, rel_tol=close)
            p = setting(mask.p)
            usual = math.isclose(mask.scale * (1 - mask.p), 1, rel_tol=1e-5)
            factor = f"1/(1−{p})" if usual else setting(mask.scale)
            return Fact(
                label="scale",
                value=f"{number(before)} × {factor} = {number(made)}",
                note="the recorded output is the same"
                if equal
                else f"the recorded output is another: {number(after)}",
            )
    return None
