"""Of many evaluations few are measured, and the last and the best among them always."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipetrace.records import Evaluation, Fact, Metrics, Score
from pipetrace.training import scores
from pipetrace.training.measuring import ALWAYS, STEPS, Evaluated, Measures


def evaluated(index: int, step: int, loss: float, rows: int = 6) -> Evaluated:
    logits, target = torch.randn(rows, 3), torch.arange(rows) % 3
    value = F.cross_entropy(logits, target)
    call = scores.loss_call("cross_entropy", (logits, target), {}, value)
    assert call is not None
    stated = Evaluation(
        training=0, epoch=index, index=index, score=Score(rows=rows, loss=loss), forwards=1,
        mode=False, step=step,
    )  # fmt: skip
    return Evaluated(stated, [call])


def measured(found: list[Fact]) -> list[int]:
    return [fact.evaluation for fact in found if isinstance(fact, Metrics)]


def test_the_first_some_and_in_the_end_the_best_and_the_last():
    found: list[Fact] = []
    measures = Measures(found.append)
    for index in range(1, 101):
        measures.add(evaluated(index, index * 10, loss=1 / index))
    first, every = list(range(1, ALWAYS + 1)), STEPS // 10
    some = list(range(ALWAYS + every, 101, every))
    assert measured(found) == first + some
    measures.settle()
    assert measured(found) == [*first, *some, 100]


@pytest.mark.parametrize("nan", [False, True])
def test_the_best_is_kept_until_the_end(nan: bool):
    found: list[Fact] = []
    measures = Measures(found.append)
    for index in range(1, 31):
        loss = 0.1 if index == 17 else float("nan") if nan and index > 17 else 1.0
        measures.add(evaluated(index, index, loss))
    measures.settle()
    assert measured(found) == [*range(1, ALWAYS + 1), 17, 30]
    measures.settle()
    assert len(found) == ALWAYS + 2


def test_other_rows_are_measured_for_themselves():
    found: list[Fact] = []
    measures = Measures(found.append)
    for index in range(1, 51):
        measures.add(evaluated(index, index, 1.0, rows=6 if index % 2 else 9))
    measures.settle()
    assert measured(found) == [*range(1, 2 * ALWAYS + 1), 49, 50]
