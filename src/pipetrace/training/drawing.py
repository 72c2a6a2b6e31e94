"""Dropout layers drop at several rates for the sample of the prediction, once all has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from pipetrace.capture import replay
from pipetrace.capture.dropping import FEW, RATES, Read, draw, dropping, of_row
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.inputs import capture
from pipetrace.probed import Draws
from pipetrace.records import Fact, Notice, Op
from pipetrace.training import scores

if TYPE_CHECKING:
    from pipetrace.training.prediction import Chosen
    from pipetrace.training.recorder import Recorder
    from pipetrace.training.strands import Strand

LAYERS = 4
"""So many layers are looked at, the first ones."""
DRAWS = 32
"""So many masks are drawn at each rate, fewer of a model that takes long."""
_WORK = 4_000_000_000
"""Floating-point operations that all draws together may take: well under a second."""
_NUMBER = 20
"""As many would take the time of a number that an op without FLOPs makes."""
_DRAWN = 400
"""As many would take the time of a number that is copied, dropped and dropped again on ones."""
_CALL = 700_000
"""As many would take the time of calling one op, with its share of what is put back."""


def draws(
    recorder: Recorder, chosen: Chosen, strand: Strand | None, told: Sequence[Fact]
) -> list[Fact]:  # fmt: skip
    """Let the dropout layers of the trained model drop, one at a time, all else in eval mode.

    Args:
        recorder: The recorder; without values it states none.
        chosen: The sample of the prediction.
        strand: The training, which tells how probabilities are read off the output.
        told: What the prediction stated.

    Returns:
        A record for each of the first layers, or why there is none.
    """
    forward, model = capture(told), recorder.model(chosen.seen.model)
    if forward is None or model is None or not recorder.values:
        return []
    ops = [fact for fact in told if isinstance(fact, Op) and fact.capture == forward.id]
    layers = dropping(ops)[:LAYERS]
    if not layers:
        return []
    row, calls = _work(model, ops), _CALL * len(ops)
    passes = len(RATES) + 3
    count = next((n for n in (DRAWS, FEW) if passes * (n * row + calls) <= _WORK), 0)
    if not count:
        return [_missing("the model is too large to be run some 100 times more")]
    each = FEW * passes * (row + calls)
    left = float(_WORK)
    found: list[Fact] = []
    try:
        with torch.no_grad():
            whole = replay.prepare(model, chosen.args, chosen.kwargs)
        call = of_row(whole, forward.sample)
        read = reading(strand)
        for op in layers:
            if passes * (count * row + calls) > left:
                break
            single = FEW if each <= left else 0
            made: Draws | None = draw(
                call, ops, op.index, count=count, single=single, read=read
            )  # fmt: skip
            if made is None:
                continue
            found.append(made)
            batched = len(made.masks[0]) > FEW
            left -= passes * (count * row + calls) if batched else each
    except Exception as error:
        pass_on(error)
        return found or [_missing(f"{type(error).__name__}: {error}"[:300])]
    return found


def reading(strand: Strand | None) -> Read | None:
    """Return what finds the probabilities of each row in a model's output; None if it has none."""
    if strand is None or strand.call is None or strand.pairing is None:
        return None
    name, pairing = strand.call.name, strand.pairing
    kind = scores.task(name)

    def read(output: Any, rows: int) -> torch.Tensor | None:
        given = pairing.of(output).detach()
        if given.dim() > 2 or given.shape[:1] != (rows,):
            return None
        if kind == "classes":
            return given.softmax(-1) if given.dim() == 2 else None
        return given if name == "binary_cross_entropy" else given.sigmoid()

    return read if kind in ("classes", "binary") else None


def looked_at(
    recorder: Recorder, call: replay.Call, strand: Strand | None, facts: list[Fact]
) -> list[Fact]:  # fmt: skip
    """Keep the sample of a prediction to be run again, and state it where it is an image."""
    if not recorder.values:
        return []
    return list(recorder.kept.take(call.model, call.args, call.kwargs, facts,
                                   read=reading(strand), alive=True))  # fmt: skip


def _work(model: torch.nn.Module, ops: Sequence[Op]) -> int:
    """Return what a forward of the row takes: each number that an op makes is work, and memory."""
    # Not `count`: in eval mode what dropout gives is a view, of which nothing is counted.
    made = sum(math.prod(tensor.shape) for op in ops for tensor in op.outputs)
    most = max(math.prod(tensor.shape) for op in dropping(ops) for tensor in op.outputs)
    parameters = 2 * sum(parameter.numel() for parameter in model.parameters())
    return max(sum(op.flops or 0 for op in ops), parameters) + _NUMBER * made + _DRAWN * most


def _missing(reason: str) -> Notice:
    return Notice(id="draws", text=f"No dropout layer was run again at other rates: {reason}.")
