"""The masks of dropout inside one op, attention or a recurrent layer, are drawn again."""

from __future__ import annotations

import torch

from pipetrace.capture import names
from pipetrace.capture.draws import Draw, drawing
from pipetrace.capture.flags import counted
from pipetrace.capture.tracer import Heard
from pipetrace.parts import Mask
from pipetrace.summarise import ROW

ATTENTION = "scaled_dot_product_attention"
HIDING = {ATTENTION, *names.RECURRENT}
"""The functions that drop inside."""
_TENSORS = ("query", "key", "value", "attn_mask")


def mask(op: Heard, *, rows: int | None, row: int) -> Mask | str | None:
    """Return the mask that an op drew inside, or why it cannot be had; None where it dropped none.

    Args:
        op: A call of a function in `HIDING`.
        rows: The batch's length.
        row: The sample whose flags are kept.
    """
    attention = op.plan.name == ATTENTION
    told = names.arguments(op.plan, op.told)
    if attention:
        p, drops = float(told.get("dropout_p", 0)), True
    else:
        p, layers = float(told["dropout"]), int(told["num_layers"])
        drops = bool(told["training"]) and layers > 1
    device = op.made[0].device.type
    if not drops or p == 0 or device == "meta":
        return None
    if device != "cpu":
        return "a fused kernel of this device draws the mask by a rule of its own"
    if op.draw is None and p < 1:
        return "nothing was drawn from a generator that is known"
    # The program's own function modes must neither hear of this nor choose another device.
    with torch._C.DisableTorchFunction(), torch.no_grad():
        if attention:
            kept = _attention(op, op.draw, p, grouped=bool(told.get("enable_gqa")))
            place = 0
        else:
            swapped = bool(told.get("batch_first"))
            kept = _recurrent(op, op.draw, p, layers, swapped=swapped)
            # The layers come first, then time and batch: of the two the one that is the batch.
            place = 2 if swapped or kept.shape[1] != rows else 1
        has_row = place < kept.dim() - 1 and kept.shape[place] == rows
        of_row = kept.select(place, row) if has_row else kept
        flags = tuple(of_row.reshape(-1)[:ROW].tolist())
    return counted(kept, p, 1 / (1 - p) if p < 1 else 0.0, flags, "elements")


def _attention(op: Heard, draw: Draw | None, p: float, *, grouped: bool) -> torch.Tensor:
    """Let equal weights attend to one-hot values: what comes out is not zero where it was kept.

    `scaled_dot_product_attention` drops weights after the softmax, whatever they are; of those
    that a mask forbids a flag is drawn too:
    https://docs.pytorch.org/docs/stable/generated/
    torch.nn.functional.scaled_dot_product_attention.html

    Returns:
        Flags of shape (..., queries, keys).
    """
    if draw is None:
        return torch.zeros(*op.made[0].shape[:-1], op.shapes[1][-2], dtype=torch.bool)
    by_place = _TENSORS[: len(draw.forms) - len(draw.keywords)]
    forms = dict(zip((*by_place, *draw.keywords), draw.forms, strict=True))
    query, key = (forms[name].filled(0, op.made[0].device) for name in ("query", "key"))
    length = key.shape[-2]
    value = torch.eye(length, dtype=forms["value"].dtype)
    value = value.expand(*forms["value"].shape[:-2], length, length)
    with drawing(draw):
        seen: torch.Tensor = op.plan.function(query, key, value, None, p, enable_gqa=grouped)
        return seen != 0


def _recurrent(
    op: Heard, draw: Draw | None, p: float, layers: int, *, swapped: bool
) -> torch.Tensor:
    """Draw for every layer but the last, for the outputs of all its steps.

    A recurrent layer calls `torch.dropout` on what it gives to the next, time first:
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    Returns:
        Flags of shape (layers - 1, time, batch, features), or (layers - 1, rows of the packed
        data, features).
    """
    shape = list(op.made[0].shape)
    if swapped:
        shape[:2] = shape[1::-1]
    ones = torch.ones(shape, dtype=op.made[0].dtype)
    with drawing(draw):
        return torch.stack([torch.dropout(ones, p, True) != 0 for _ in range(layers - 1)])
