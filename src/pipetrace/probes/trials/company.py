"""Half of a batch in eval mode: where statistics are the batch's, its rows come out otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pipetrace.capture import replay, trees
from pipetrace.capture.handlers import pass_on
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
        return trees.rebuild(value, lambda tensor: trees.part(tensor, rows, 0, half))

    call = subject.call
    whole = trees.tensors([replay.play(call)])
    try:
        part = replay.play(call._replace(args=cut(call.args), kwargs=cut(call.kwargs)))
    except Exception as error:
        # A model may want all of its rows: those of a graph, beside one that is its own.
        pass_on(error)
        return
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
