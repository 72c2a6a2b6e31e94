"""What questions about any model read from a run: its stages, sizes, losses and scores."""

from __future__ import annotations

import ast
import math
from typing import NamedTuple

from pipetrace.lessons.reading import heldout_losses, name_stage
from pipetrace.records import (
    Capture,
    Classification,
    Dataset,
    Epoch,
    Metrics,
    Model,
    ModulePart,
    Op,
    Prediction,
    Probe,
    Training,
)
from pipetrace.tracefile import Recording

LARGE = 100_000
"""Elements up to which a tensor of the run is made again for a question."""
LIMIT = 10**12
"""Sizes from which on numbers are too long to be read."""


class Sliding(NamedTuple):
    """A convolution or pooling that slides over height and width: all that its size follows from.

    Each pair is of height and width.
    """

    op: Op
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    made: tuple[int, int]


class Losses(NamedTuple):
    """Losses of one epoch: in eval mode after it, and what the training loop saw during it."""

    rows: int
    """How many of the training rows were measured in eval mode."""
    train: float
    held: float
    loop: float | None


def ops(recording: Recording) -> list[Op]:
    """Return the first op of each function in each module, of forwards that the page shows."""
    shown = {each.id for each in recording.all(Capture) if not each.apart}
    found: dict[tuple[str, str, tuple[tuple[int, ...], ...]], Op] = {}
    for op in recording.all(Op):
        if op.capture in shown and op.outputs and not op.opaque:
            found.setdefault((op.module, op.function, op.input_shapes), op)
    return list(found.values())


def stage(op: Op) -> str:
    """Name a stage at the beginning of a sentence."""
    name = name_stage(op)
    return name[0].upper() + name[1:]


def argument(op: Op, name: str) -> str:
    """Return an argument of an op in words, empty where it has none of this name."""
    return next((each.value for each in op.arguments if each.name == name), "")


def pair(text: str) -> tuple[int, int] | None:
    """Read a size for height and width, as arguments are worded.

    >>> pair("(2, 1)"), pair("3"), pair("same")
    ((2, 1), (3, 3), None)
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if isinstance(value, int):
        return value, value
    if isinstance(value, (tuple, list)) and all(isinstance(each, int) for each in value):
        return (value[0], value[-1]) if len(value) in (1, 2) else None
    return None


def sliding(recording: Recording, function: str) -> list[Sliding]:
    """Return the ops of a function that slide a kernel over images and round down."""
    found = []
    for op in ops(recording):
        shapes, made = op.input_shapes, op.outputs[0].shape
        if op.function != function or not shapes or len(shapes[0]) != 4 or len(made) != 4:
            continue
        if argument(op, "ceil_mode") not in ("", "False"):
            continue
        convolves = function == "conv2d" and len(shapes) > 1 and len(shapes[1]) == 4
        kernel = (shapes[1][2], shapes[1][3]) if convolves else pair(argument(op, "kernel_size"))
        if kernel is None:
            continue
        given = argument(op, "stride")
        stride = (kernel if not convolves else (1, 1)) if given in ("", "None") else pair(given)
        padding = pair(argument(op, "padding") or "0")
        dilation = pair(argument(op, "dilation") or "1")
        if stride is None or padding is None or dilation is None:
            continue
        size, out = (shapes[0][2], shapes[0][3]), (made[2], made[3])
        if max(size) <= LARGE:
            found.append(Sliding(op, size, kernel, stride, padding, dilation, out))
    return found


def holding(recording: Recording) -> tuple[Model | None, list[ModulePart]]:
    """Return the first model and those of its modules that have parameters of their own.

    The list is empty where the modules' parameters do not add up to the model's: then some are
    shared, or not all are known.
    """
    model = recording.first(Model)
    if model is None or not 0 < model.parameters < LIMIT:
        return None, []
    parts = [part for part in model.modules if part.parameters > 0]
    whole = sum(part.parameters for part in parts) == model.parameters
    return model, parts if whole else []


def module(part: ModulePart) -> str:
    """Name a module as the user would."""
    return f"`{part.path}` ({part.type})" if part.path else f"the model's own ({part.type})"


def epochs(recording: Recording) -> list[Epoch]:
    """Return the whole epochs of the first training whose mean loss is a finite number."""
    first = recording.first(Training)
    return [
        epoch
        for epoch in recording.all(Epoch)
        if first is not None
        and epoch.training == first.id
        and epoch.complete
        and epoch.score.loss is not None
        and math.isfinite(epoch.score.loss)
    ]


def losses(recording: Recording) -> dict[int, Losses]:
    """Return the losses of each epoch's last weights, where both were measured in eval mode."""
    held, first = heldout_losses(recording, in_eval=True), recording.first(Training)
    loop = {epoch.index: epoch.score.loss for epoch in epochs(recording)}
    return {
        probe.epoch: Losses(probe.off.rows, probe.off.loss, held[probe.epoch], loop[probe.epoch])
        for probe in recording.all(Probe)
        if first is not None and probe.training == first.id
        if probe.epoch in held and probe.epoch in loop
        if probe.off.loss is not None and math.isfinite(probe.off.loss)
    }


def batches(recording: Recording) -> tuple[int, int, int] | None:
    """Return rows, batch size and steps of an epoch, where the last follows from the others."""
    data = next((each for each in recording.all(Dataset) if each.role == "training"), None)
    counts = {epoch.steps for epoch in epochs(recording)}
    if data is None or not data.rows or not data.batch or len(counts) != 1:
        return None
    (steps,) = counts
    return (data.rows, data.batch, steps) if steps == -(-data.rows // data.batch) else None


def setting(recording: Recording, name: str) -> float | None:
    """Return a finite number among the settings of the first training's optimizer."""
    training = recording.first(Training)
    text = (
        next((each.value for each in training.settings if each.name == name), "")
        if (training is not None)
        else ""
    )
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def rate(recording: Recording) -> float | None:
    """Return the learning rate of the first epoch, of the first group of parameters."""
    first = next(iter(epochs(recording)), None)
    found = first.rates[0] if first is not None and first.rates else setting(recording, "lr")
    return found if found is not None and math.isfinite(found) and found > 0 else None


def classified(recording: Recording, most: int = 6) -> Classification | None:
    """Return the last scores of chosen classes whose whole confusion matrix fits on a page."""
    for metrics in reversed(recording.all(Metrics)):
        found = metrics.classification
        if found is None or not 2 <= len(found.confusion) <= most:
            continue
        if found.classes == len(found.confusion) and sum(map(sum, found.confusion)) > 0:
            return found
    return None


def predicted(recording: Recording, most: int = 10) -> Prediction | None:
    """Return the chosen sample's prediction, of finite scores and their probabilities."""
    for found in reversed(recording.all(Prediction)):
        if found.role != "chosen" or found.task != "classes":
            continue
        count = len(found.scores)
        finite = all(map(math.isfinite, (*found.scores, *found.probabilities)))
        if 2 <= count <= most and len(found.probabilities) == count and finite:
            return found
    return None
