"""What a template may ask of a run's batch norm stages: their shapes, modes and numbers."""

from __future__ import annotations

from typing import NamedTuple

from pipetrace.lessons.reading import name_forward, name_stage, ops_by_place, shape_text
from pipetrace.records import Capture, Model, Op, Tensor
from pipetrace.tracefile import Recording

_MOST_CHANNELS = 512
_MOST_VALUES = 20_000
"""Beyond these, executing the stage again would take longer than a question may."""


class Norming(NamedTuple):
    """A batch norm stage in one forward."""

    op: Op
    capture: Capture
    shape: tuple[int, ...]
    """Of what came in: rows, channels, and places within a channel where there are any."""
    incoming: Tensor | None
    """What came in, where it is known."""

    @property
    def channels(self) -> int:
        """The features that are normalised one by one."""
        return self.shape[1]

    @property
    def values(self) -> int:
        """The numbers behind the mean of one channel in train mode."""
        count = self.shape[0]
        for size in self.shape[2:]:
            count *= size
        return count

    @property
    def by_batch(self) -> bool:
        """Whether this forward normalised with the batch's own mean and variance."""
        return argument(self.op, "training") == "True"


def argument(op: Op, name: str) -> str:
    """Return what an op was called with, as text; empty where it is not known."""
    return next((each.value for each in op.arguments if each.name == name), "")


def normings(recording: Recording) -> list[Norming]:
    """Return the batch norm stages of the forwards that a page shows, training forwards first."""
    captures = {capture.id: capture for capture in recording.all(Capture) if not capture.apart}
    ops = ops_by_place(recording)
    found = [
        Norming(op, captures[op.capture], op.input_shapes[0], _incoming(op, captures, ops))
        for op in ops.values()
        if op.function == "batch_norm" and op.capture in captures and _small(op)
    ]
    return sorted(found, key=lambda norming: norming.capture.purpose != "training")


def learned(recording: Recording, norming: Norming) -> int | None:
    """Return how many parameters the run counted in the module of a stage."""
    for model in recording.all(Model):
        if model.id == norming.capture.model and norming.op.module:
            for part in model.modules:
                if part.path == norming.op.module:
                    return part.parameters
    return None


def linked(op: Op, name: str) -> tuple[int, ...] | None:
    """Return the shape of a parameter or buffer that an op was given; None if it was not.

    Args:
        op: a batch norm op.
        name: `weight`, `bias`, `running_mean` or `running_var`.
    """
    for link, shape in zip(op.inputs, op.input_shapes, strict=False):
        if link.name.rpartition(".")[2] == name:
            return shape
    return None


def describe(norming: Norming) -> dict[str, str]:
    """Return what the texts of a question name: stage, forward, shape and channels."""
    stage = name_stage(norming.op)
    return {
        "stage": stage,
        "stage_first": stage[0].upper() + stage[1:],
        "forward": name_forward(norming.capture),
        "shape": shape_text(norming.shape),
        "rows": str(norming.shape[0]),
        "channels": str(norming.channels),
        "values": str(norming.values),
    }


def _small(op: Op) -> bool:
    shape = op.input_shapes[0] if op.input_shapes else ()
    count = 1
    for size in shape:
        count *= size
    return len(shape) >= 2 and 2 <= shape[1] <= _MOST_CHANNELS and 0 < count <= _MOST_VALUES


def _incoming(
    op: Op, captures: dict[int, Capture], ops: dict[tuple[int, int], Op]
) -> Tensor | None:
    link = op.inputs[0] if op.inputs else None
    if link is None:
        return None
    if link.source == "input":
        inputs = dict(captures[op.capture].inputs)
        return inputs.get(link.name) or next(iter(inputs.values()), None)
    source = ops.get((op.capture, link.index)) if link.index is not None else None
    return source.outputs[0] if source is not None and source.outputs else None
