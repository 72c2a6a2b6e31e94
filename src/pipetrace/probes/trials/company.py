"""Half of a batch in eval mode: where statistics are the batch's, its rows come out otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

from pipetrace.capture import replay, trees
from pipetrace.probes.trials.altering import apart
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact, Op
from pipetrace.tried import Company

_FEWEST = 4
_SPREADS = {"std", "var", "std_mean", "var_mean"}


def company(subject: Subject) -> Iterable[Fact]:
    """Play half of the rows where an op in eval mode took statistics over all of them."""
    rows = subject.capture.rows or 0
    ops = [op for op in subject.ops if _asks(op, rows)] if not subject.kind.trained else []
    if not ops or rows < _FEWEST:
        return
    half = rows // 2

    def cut(value: Any) -> Any:
        return trees.rebuild(value, lambda tensor: _first(tensor, rows, half))

    call = subject.call
    whole = trees.tensors([replay.play(call)])
    part = replay.play(call._replace(args=cut(call.args), kwargs=cut(call.kwargs)))
    pairs = [
        (few, many[:half])
        for few, many in zip(trees.tensors([part]), whole, strict=False)
        if many.shape[:1] == (rows,) and few.shape[:1] == (half,)
    ]
    gap = apart([few for few, _ in pairs], [many for _, many in pairs])
    if gap is not None:
        yield Company(capture=subject.capture.id, ops=tuple(op.index for op in ops), rows=half,
                      apart=gap)  # fmt: skip


def _asks(op: Op, rows: int) -> bool:
    """Tell batch norm that normalises with the batch, and a spread over the first dimension."""
    told = {each.name: each.value for each in op.arguments}
    if op.training is not False:
        return False
    if op.function == "batch_norm":
        return told.get("training") == "True"
    shape = op.input_shapes[0] if op.input_shapes else ()
    over = [int(number) for number in re.findall(r"-?\d+", told.get("dim", ""))]
    first = any(number % len(shape) == 0 for number in over) if shape else False
    return op.function in _SPREADS and first and shape[0] == rows


def _first(tensor: torch.Tensor, rows: int, half: int) -> torch.Tensor:
    return tensor[:half] if tensor.dim() and tensor.shape[0] == rows else tensor
