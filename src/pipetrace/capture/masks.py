"""A dropout mask is regenerated: the same function, from the same RNG state, on ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from pipetrace.capture import again, chains, draws, hidden, names, quiet
from pipetrace.capture.draws import Draw, Form, drawing
from pipetrace.capture.flags import counted
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Mask
from pipetrace.summarise import ROW, pick

ELEMENTS = {"dropout", "dropout_", "native_dropout", "alpha_dropout", "alpha_dropout_"}
CHANNELS = {
    "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "feature_dropout_",
    "feature_alpha_dropout", "feature_alpha_dropout_",
}  # fmt: skip


def masks(
    heard: Sequence[Heard], *, rows: int | None, row: int, most: int = ROW
) -> dict[int, Mask | str]:
    """Return the mask of every op that drops at random, or why it cannot be had.

    Args:
        heard: The ops of a forward, in order.
        rows: The batch's length.
        row: The sample whose flags are kept.
        most: How many flags are kept of a dropout function; of other ops it is `ROW`.
    """
    found: dict[int, Mask | str] = dict(chains.masks(heard, rows=rows, row=row))
    for index, op in enumerate(heard):
        if op.plan.name not in ELEMENTS | CHANNELS | hidden.HIDING:
            continue
        try:
            if op.plan.name in hidden.HIDING:
                mask = hidden.mask(op, rows=rows, row=row)
            else:
                row_of = row if op.shapes and op.shapes[0][:1] == (rows,) else None
                mask = _dropout(heard, op, row_of, most)
        except Exception as error:
            pass_on(error)
            # A tensor subclass may refuse anything, with any exception.
            mask = f"it could not be drawn again: {type(error).__name__}"
        if mask is not None:
            found[index] = mask
    return found


def _dropout(heard: Sequence[Heard], op: Heard, row: int | None, most: int) -> Mask | str | None:
    told = {**_defaults(op.plan.function), **names.arguments(op.plan, op.told)}
    # torch.dropout calls its mode `train`; torch.nn.functional.dropout calls it `training`.
    if not told.get("training", told.get("train")) or not op.shapes or 0 in op.shapes[0]:
        return None
    made = op.made[0]
    if made.device.type == "meta":
        return None
    given = float(told["p"]) if len(op.links) == 1 else again.constant(heard, op.links[1])
    if given is None:
        return "its probability is a tensor whose number was not kept"
    # Of float32 the decimal that was meant.
    p = float(f"{given:.7g}") if len(op.links) > 1 else given
    if op.draw is not None:
        form = op.draw.forms[0]
        if form.shape != op.shapes[0]:
            return "the mask of a nested, sparse or mapped tensor is not drawn again"
    elif p in (0, 1):
        form = draws.form(torch.empty(op.shapes[0], dtype=made.dtype))
    else:
        return "nothing was drawn from a generator that is known"
    return regenerate(
        op.plan.function, op.plan.name, p, form, made.device, op.draw, row=row, most=most
    )


@functools.cache
def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    if not inspect.isfunction(function):
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def regenerate(
    function: Callable[..., Any],
    name: str,
    p: float,
    form: Form,
    device: torch.device,
    draw: Draw | None,
    *,
    row: int | None,
    most: int = ROW,
) -> Mask:
    """Run a dropout function on ones from the RNG state that it started from.

    Args:
        function: The function that ran.
        name: Its plain name.
        p: The probability of being dropped.
        form: What is known of the input beside its elements.
        device: Where it ran.
        draw: What it drew from; None where it drew nothing.
        row: Which row's flags to keep; None for the first elements of the whole mask.
        most: How many flags to keep.

    Returns:
        The mask with its count, and the central 95 % of Binomial(total, 1 - p).
    """
    # The program's own function modes must neither hear of this nor choose another device.
    # What there is to warn of, the program's own call has warned of.
    with torch._C.DisableTorchFunction(), torch.no_grad(), quiet.unheard():
        with drawing(draw):
            ones = function(form.filled(1, device), p, True)
        if isinstance(ones, tuple):
            # native_dropout gives its mask too.
            ones = ones[0]
        zeros = torch.zeros_like(ones)
        if "alpha" in name:
            # What alpha dropout drops becomes a number: the kept is what depends on the input.
            with drawing(draw):
                zeros = function(form.filled(0, device), p, True)
        kept = ones != zeros
        # Where by chance none was kept, a survivor's scale is not measured but known.
        unseen = 0.0 if p == 1 or "alpha" in name else 1 / (1 - p)
        scale = float((ones - zeros)[kept][0]) if bool(kept.any()) else unseen
        flags = pick(kept, row).reshape(-1)[:most].tolist()
        if name in CHANNELS and kept.dim() > (leading := _leading(name, kept.dim())):
            kept = kept.flatten(leading)[..., 0]
    unit = "channels" if name in CHANNELS else "elements"
    return counted(kept, p, scale, tuple(flags), unit)


def _leading(name: str, dimensions: int) -> int:
    """Return how many dimensions tell channels apart: one fewer where there is no batch."""
    return 1 if (name, dimensions) in {("dropout1d", 2), ("dropout3d", 4)} else 2
