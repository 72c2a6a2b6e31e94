"""What a template may ask of a recording: dropout stages with real rows, modes, losses."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipetrace.lessons.drafts import number
from pipetrace.parts import telling
from pipetrace.records import Capture, Epoch, Evaluation, Mask, Op, Training
from pipetrace.tracefile import Recording

SOME_P = 0.3
"""The drop probability of a question about dropout in a run that has none."""


class Dropping(NamedTuple):
    """A dropout stage that dropped: its op, its forward, its mask and the sample's two rows."""

    op: Op
    capture: Capture
    mask: Mask
    before: tuple[float, ...]
    after: tuple[float, ...]


class Passing(NamedTuple):
    """A dropout stage in eval mode, with the p that the same stage drops with in training."""

    op: Op
    p: float
    before: tuple[float, ...]
    after: tuple[float, ...]


def droppings(recording: Recording) -> list[Dropping]:
    """Return the stages whose mask was active (0 < p < 1), training forwards first."""
    captures = {capture.id: capture for capture in recording.all(Capture)}
    ops = ops_by_place(recording)
    found = [
        Dropping(op, captures[op.capture], op.mask, before(op, captures, ops), after(op))
        for op in ops.values()
        if op.mask is not None
        and 0 < op.mask.p < 1
        and op.mask.total > 0
        and op.mask.unit == "elements"
        and op.capture in captures
    ]
    return sorted(found, key=lambda dropping: dropping.capture.purpose != "training")


def passings(recording: Recording) -> list[Passing]:
    """Return the stages that dropped elsewhere in the run, as eval mode met them."""
    captures = {capture.id: capture for capture in recording.all(Capture)}
    ops = ops_by_place(recording)
    rates = {
        (dropping.op.module, dropping.op.function): dropping.mask.p
        for dropping in droppings(recording)
    }
    return [
        Passing(op, rates[op.module, op.function], before(op, captures, ops), after(op))
        for op in ops.values()
        if op.mask is None and op.training is False and (op.module, op.function) in rates
    ]


def probability(recording: Recording) -> float | None:
    """Return the p of the run's first active mask."""
    return next((dropping.mask.p for dropping in droppings(recording)), None)


def ops_by_place(recording: Recording) -> dict[tuple[int, int], Op]:
    """Return every captured op by its forward and its index."""
    return {(op.capture, op.index): op for op in recording.all(Op)}


def before(
    op: Op, captures: dict[int, Capture], ops: dict[tuple[int, int], Op]
) -> tuple[float, ...]:
    """Return the sample's row that went into an op, through views; empty if it is not known."""
    link = op.inputs[0] if op.inputs else None
    while link is not None:
        if link.source == "input":
            inputs = dict(captures[op.capture].inputs) if op.capture in captures else {}
            tensor = inputs.get(link.name) or next(iter(inputs.values()), None)
            return tensor.row if tensor is not None else ()
        source = ops.get((op.capture, link.index)) if link.index is not None else None
        if source is None or source.index >= op.index:
            return ()
        if source.outputs and source.outputs[0].row:
            return source.outputs[0].row
        if not source.view:
            return ()
        op, link = source, source.inputs[0] if source.inputs else None
    return ()


def after(op: Op) -> tuple[float, ...]:
    """Return the sample's row that came out of an op."""
    return op.outputs[0].row if op.outputs else ()


def speaking(values: tuple[float, ...]) -> list[int]:
    """Return the positions of numbers that four decimals can tell apart from their neighbours.

    >>> speaking((0.5, 0.001, float("nan"), -3.0))
    [0, 3]
    """
    return [
        index
        for index, value in enumerate(values)
        if math.isfinite(value) and 0.05 <= abs(value) <= 1000
    ]


def name_stage(op: Op) -> str:
    """Name a stage as the user would.

    >>> name_stage(Op(capture=0, index=0, function="dropout", module="0", module_type="Dropout"))
    'the module `0` (Dropout)'
    """
    if not op.module:
        return f"the call of `{op.function}` in the model's own forward"
    return f"the module `{op.module}` ({op.module_type or op.function})"


def name_forward(capture: Capture) -> str:
    """Name a forward.

    >>> name_forward(Capture(id=0, model=0, purpose="training", training=True))
    'a training forward'
    """
    article = "an" if capture.purpose[:1] in "aeiou" else "a"
    return f"{article} {capture.purpose} forward"


def describe(dropping: Dropping) -> dict[str, str]:
    """Return what the texts of a question name: stage, forward, p and scale."""
    stage = name_stage(dropping.op)
    return {
        "stage": stage,
        "stage_first": stage[0].upper() + stage[1:],
        "forward": name_forward(dropping.capture),
        "p": number(dropping.mask.p),
        "scale": number(dropping.mask.scale),
    }


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape as executed outcomes write it.

    >>> shape_text((32, 20))
    '(32, 20)'
    """
    return str(shape)


def heldout_losses(recording: Recording, *, in_eval: bool = False) -> dict[int, float]:
    """Return the loss on rows that were not trained on, by epoch, of the first training run.

    Args:
        recording: the run.
        in_eval: whether only evaluations count that were all in eval mode.
    """
    first = recording.first(Training)
    losses: dict[int, float] = {}
    again = next((e.repeated for e in recording.all(Epoch) if e.repeated is not None), None)
    for evaluation in recording.all(Evaluation):
        loss = evaluation.score.loss
        held_out = evaluation.seen == 0.0 and evaluation.epoch > 0
        if first is None or evaluation.training != first.id or not held_out:
            continue
        if in_eval and evaluation.mode is not False:
            continue
        if not telling(again, evaluation.score.rows):
            continue
        if loss is not None and math.isfinite(loss):
            losses.setdefault(evaluation.epoch, loss)
    return losses
