"""Sums over batches are what the whole would give."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipetrace.training import scores
from pipetrace.training.tallies import Seen, Tally, read


def seen(logits: torch.Tensor, target: torch.Tensor, name: str = "cross_entropy") -> Seen:
    forward = Seen(0, True, logits.shape[0], 0, None)
    value = getattr(F, name)(logits, target)
    forward.used = scores.loss_call(name, (logits, target), {}, value)
    return forward


@pytest.fixture
def batches() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(50, 3), torch.randint(3, (50,))


def test_uneven_batches_are_weighted_by_their_rows(batches: tuple[torch.Tensor, torch.Tensor]):
    logits, target = batches
    tally = Tally()
    pieces = [seen(a, b) for a, b in zip(logits.split(16), target.split(16), strict=True)]
    tally.fold(pieces[:2])
    tally.fold(pieces[2:])
    score = tally.score()
    assert score.rows == 50
    assert score.loss == pytest.approx(F.cross_entropy(logits, target).item(), abs=1e-6)
    assert score.accuracy == int((logits.argmax(1) == target).sum()) / 50
    assert tally.by == "loop"


def test_an_input_that_was_overwritten_takes_the_accuracy_away(
    batches: tuple[torch.Tensor, torch.Tensor],
):
    logits, target = batches
    forward = seen(logits, target)
    loss = F.cross_entropy(logits, target).item()
    logits.zero_()
    tally = Tally()
    tally.fold([forward, seen(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))])
    assert tally.score().accuracy is None
    assert forward.used is not None
    assert float(forward.used.value) == pytest.approx(loss)


def test_batches_of_several_shapes_are_counted_one_by_one():
    torch.manual_seed(2)
    parts = [(torch.randn(2, 3, n), torch.randint(3, (2, n))) for n in (4, 6)]
    tally = Tally()
    tally.fold([seen(logits, target) for logits, target in parts])
    right = sum(int((logits.argmax(1) == target).sum()) for logits, target in parts)
    assert tally.score().accuracy == right / 20


def test_a_loss_without_reduction_is_averaged():
    logits, target = torch.tensor([[2.0, 0.0]] * 4), torch.zeros(4, dtype=torch.long)
    forward = Seen(0, True, 4, 0, None)
    value = F.cross_entropy(logits, target, reduction="none")
    forward.used = scores.loss_call("cross_entropy", (logits, target), {"reduction": "none"}, value)
    tally = Tally()
    tally.fold([forward])
    assert tally.score().loss == pytest.approx(value.mean().item())


def test_what_nobody_scored_is_scored_by_us_or_left_open(
    batches: tuple[torch.Tensor, torch.Tensor],
):
    logits, target = batches
    bare, scored = Seen(0, False, 50, 0, None), seen(logits, target).used

    tally = Tally()
    tally.fold([bare])
    assert (tally.score().loss, tally.score().accuracy, tally.by) == (None, None, "")
    bare.used, bare.assumed = scored, True
    tally.fold([bare])
    assert tally.by == "pipetrace"
    assert tally.score().loss == pytest.approx(F.cross_entropy(logits, target).item())


def test_scalars_of_several_kinds_are_read():
    values = [torch.tensor(1.5), torch.tensor(2, dtype=torch.int64), torch.tensor([3.0])]
    assert read(values) == [1.5, 2.0, 3.0]
    assert read([]) == []
