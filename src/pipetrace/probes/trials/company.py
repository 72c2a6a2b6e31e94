"""Half of a batch in eval mode: where batch normalisation asks the batch, its rows come out new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from pipetrace.capture import replay, trees
from pipetrace.probes.trials.altering import apart
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Company, Fact, Op


def company(subject: Subject) -> Iterable[Fact]:
    """Play half of the rows where a batch normalisation in eval mode used those of the batch."""
    rows = subject.capture.rows or 0
    ops = [op for op in subject.ops if _asks(op)] if not subject.kind.trained else []
    if not ops or rows < 4:
        return
    half = rows // 2

    def first(value: Any) -> Any:
        return trees.rebuild(value, lambda tensor: _cut(tensor, rows, half))

    call = subject.call
    whole = replay.play(call)
    part = replay.play(call._replace(args=first(call.args), kwargs=first(call.kwargs)))
    gap = apart(part, first(whole))
    if gap is not None:
        yield Company(capture=subject.capture.id, ops=tuple(op.index for op in ops), rows=half,
                      apart=gap)  # fmt: skip


def _asks(op: Op) -> bool:
    told = {each.name: each.value for each in op.arguments}
    return op.function == "batch_norm" and op.training is False and told.get("training") == "True"


def _cut(tensor: torch.Tensor, rows: int, half: int) -> torch.Tensor:
    return tensor[:half] if tensor.dim() and tensor.shape[0] == rows else tensor
