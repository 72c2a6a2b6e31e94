"""Of a small model the numbers are kept with which its captured forward was computed."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.capture import inputs, trees
from pipetrace.capture.masks import ELEMENTS, masks
from pipetrace.capture.replay import Call, Outcome
from pipetrace.parts import Mask
from pipetrace.probed import NUMBERS, UNITS, VALUES, WholeRow
from pipetrace.records import Fact, Op, Weights
from pipetrace.summarise import ROW, pick, values, whole
from pipetrace.training.layers import foreign, sharded, strange


def weights(model: nn.Module, root: int, facts: list[Fact]) -> list[Weights]:
    """Return all numbers of every parameter of a small model of linear layers, else nothing.

    Args:
        model: The user's own module, right after the forward and before its step.
        root: The root's id.
        facts: Of the captured forward: its ops tell what takes the parameters.
    """
    ops = [fact for fact in facts if isinstance(fact, Op)]
    taking = [op for op in ops if any(link.source == "parameter" for link in op.inputs)]
    if {op.function for op in taking} != {"linear"} or sharded(model):
        return []
    if sum(op.outputs[0].row_count for op in taking if op.outputs) > UNITS:
        return []
    named = list(model.named_parameters())
    if sum(p.numel() for _, p in named) > NUMBERS:
        return []
    if any(strange(p) or foreign(p) or p.is_complex() for _, p in named):
        return []
    with torch.no_grad(), torch._C.DisableTorchFunction():
        return [
            Weights(
                model=root, path=path, shape=tuple(parameter.shape),
                values=tuple(parameter.detach().cpu().double().reshape(-1).tolist()),
            )
            for path, parameter in named
        ]  # fmt: skip


def whole_rows(call: Call, outcome: Outcome) -> list[WholeRow]:
    """Return the sample's row where it is longer than what a tensor's record keeps of it.

    Args:
        call: The forward of a small model, its inputs as they came.
        outcome: What its replay heard: rows of at most `UNITS` values, `VALUES` in all, are stated
            where they are held in full.
    """
    capture, tracer = inputs.capture(outcome.facts), outcome.tracer
    named = trees.arguments(call.args, call.kwargs)
    if capture is None or len(named) != 1 or len(capture.inputs) != 1:
        return []
    found: list[WholeRow] = []
    with torch.no_grad(), torch._C.DisableTorchFunction():
        width = capture.inputs[0][1].row_count
        if ROW < width <= UNITS and not foreign(named[0][1]):
            row = pick(named[0][1], tracer.row).reshape(-1)
            found.append(WholeRow(capture=capture.id, op=-1, values=values(row, UNITS)))
        wide = [
            index
            for index, op in enumerate(tracer.heard)
            if op.made[0].width > ROW and (not op.view or op.plan.name in ELEMENTS)
        ]
        drops = any(tracer.heard[index].plan.name in ELEMENTS for index in wide)
        drawn = masks(tracer.heard, rows=tracer.rows, row=tracer.row, most=UNITS) if drops else {}
        left = VALUES - width
        for index in wide:
            left -= tracer.heard[index].made[0].width
            shown = whole(tracer.heard[index].made[0], UNITS)
            if left < 0:
                break
            if shown:
                mask = drawn.get(index)
                kept = mask.row if isinstance(mask, Mask) else ()
                found.append(WholeRow(capture=capture.id, op=index, values=shown, kept=kept))
    return found
