"""The masks of dropout inside one op, attention or a recurrent layer, are drawn again."""

from __future__ import annotations

from typing import Any

import torch

from pipetrace.capture import names
from pipetrace.capture.draws import Draw, drawing
from pipetrace.capture.flags import counted
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Mask
from pipetrace.summarise import ROW, pick

_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}


def mask(op: Heard, row: int | None) -> Mask | str | None:
    """Return the mask that an op drew inside, or why it cannot be had; None where it has none.

    Args:
        op: An op that drew random numbers.
        row: The sample whose flags are kept; None for the first of the whole mask.
    """
    attention = op.plan.name == "scaled_dot_product_attention"
    if not attention and op.plan.name not in _RECURRENT:
        return None
    if op.draw is None or op.made[0].device.type != "cpu":
        return "a fused kernel of this device draws the mask by a rule of its own"
    told = names.arguments(op.plan, op.told)
    with torch._C.DisableTorchFunction(), torch.no_grad():
        return (_attention if attention else _recurrent)(op, op.draw, told, row)


def _attention(op: Heard, draw: Draw, told: dict[str, Any], row: int | None) -> Mask:
    """Let equal weights attend to one-hot values: what comes out is the mask, block by block.

    `scaled_dot_product_attention` drops weights after the softmax, whatever they are:
    https://docs.pytorch.org/docs/stable/generated/
    torch.nn.functional.scaled_dot_product_attention.html
    """
    query, key, value = (torch.zeros_like(form, device="cpu") for form in draw.forms[:3])
    p, length, width = float(told["dropout_p"]), key.shape[-2], value.shape[-1]
    blocks = []
    for start in range(0, length, width):
        value.zero_()
        columns = torch.arange(min(width, length - start))
        value[..., start + columns, columns] = 1
        with drawing(draw):
            seen = op.plan.function(
                query, key, value, dropout_p=p, enable_gqa=bool(told.get("enable_gqa"))
            )
        blocks.append(seen[..., : columns.numel()])
    weights = torch.cat(blocks, -1)
    kept = weights != 0
    flags = pick(kept, row).reshape(-1)[:ROW].tolist()
    return counted(kept, p, float(weights.max()) * length, tuple(flags), "elements")


def _recurrent(op: Heard, draw: Draw, told: dict[str, Any], row: int | None) -> Mask:
    """Draw for every layer but the last: the outputs of all its steps, time first."""
    first = next(place for place, _ in op.told if isinstance(place, int))
    packed = first == 4
    values = [value for place, value in op.told if isinstance(place, int)]
    _, layers, p = values[:3]
    shape = list(op.made[0].shape)
    batch_first = not packed and len(shape) == 3 and bool(values[5])
    if batch_first:
        shape[:2] = shape[1::-1]
    ones = torch.ones(shape, dtype=op.made[0].dtype)
    with drawing(draw):
        kept = torch.stack([torch.dropout(ones, p, True) != 0 for _ in range(int(layers) - 1)])
    of_row = kept if packed or row is None or len(shape) < 3 else kept[:, :, row]
    flags = of_row.reshape(-1)[:ROW].tolist()
    return counted(kept, float(p), 1 / (1 - p) if p < 1 else 0.0, tuple(flags), "elements")
