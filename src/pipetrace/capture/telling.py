"""What was heard of a forward becomes records."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import torch

from pipetrace.capture import costs, names
from pipetrace.capture.masks import masks
from pipetrace.capture.tracer import Heard, Tracer
from pipetrace.parts import Argument, Mask
from pipetrace.records import Gradient, Op
from pipetrace.summarise import Held, told


def ops(tracer: Tracer, capture: int) -> list[Op]:
    """Return a record of every op of a forward.

    Args:
        tracer: What heard it.
        capture: The id of the capture that they belong to.
    """
    # No function mode and no tensor subclass of the program may hear of what is asked here.
    with torch._C.DisableTorchFunction():
        found = masks(tracer.heard, rows=tracer.rows, row=tracer.row)
        return [_op(op, capture, index, found.get(index), values=tracer.values)
                for index, op in enumerate(tracer.heard)]  # fmt: skip


def gradients(
    kept: Mapping[tuple[int, int], Held], capture: int, *, values: bool
) -> list[Gradient]:
    """Return a record of every gradient that was kept so far, in the order they were computed.

    Args:
        kept: The gradients, by op and output.
        capture: The id of the capture that they belong to.
        values: Whether real values may be told.
    """
    return [
        Gradient(capture=capture, op=op, output=output, gradient=told(held, values=values))
        for (op, output), held in list(kept.items())
    ]


def _op(op: Heard, capture: int, index: int, mask: Mask | str | None, *, values: bool) -> Op:
    arguments = names.arguments(op.plan, op.told)
    made = tuple([told(held, values=values) for held in op.made])
    entry, plan, shapes = op.entry, op.plan, [tensor.shape for tensor in made]
    if isinstance(mask, Mask) and not values:
        mask = msgspec.structs.replace(mask, row=())
    return Op(
        capture=capture, index=index, function=plan.name, module=entry.path,
        module_type=entry.kind, call=entry.call, training=op.training,
        arguments=tuple([
            Argument(name=name, value=names.worded(value, values=values))
            for name, value in arguments.items()
        ]),
        inputs=op.links, input_shapes=op.shapes, outputs=made,
        called=None if op.spot is None else op.spot.place(),
        mask=mask if isinstance(mask, Mask) else None,
        mask_missing=mask if isinstance(mask, str) else "",
        view=op.view, random=op.draw is not None, opaque=op.opaque, cut=op.cut,
        cut_called=None if op.cut_spot is None else op.cut_spot.place(), within=op.within,
        flops=None if op.opaque else costs.flops(plan.name, arguments, op.shapes, shapes),
        memory=op.memory, saved=op.saved,
    )  # fmt: skip
