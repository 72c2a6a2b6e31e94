"""Sums over batches are what the whole would give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    weighted=st.booleans(),
    ignore=st.sampled_from([-100, 0, 2]),
    smoothing=st.sampled_from([0.0, 0.1]),
    reduction=st.sampled_from(["mean", "sum"]),
    seed=st.integers(0, 1000),
)
def test_the_mean_over_batches_is_the_loss_function_over_all_rows(
    sizes: list[int], weighted: bool, ignore: int, smoothing: float, reduction: str, seed: int
):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sum(sizes), 4, generator=generator, dtype=torch.float64)
    target = torch.randint(4, (sum(sizes),), generator=generator)
    weight = torch.rand(4, generator=generator, dtype=torch.float64) + 0.1 if weighted else None
    options = {"weight": weight, "ignore_index": ignore, "label_smoothing": smoothing}
    forwards = []
    for a, b in zip(logits.split(sizes), target.split(sizes), strict=True):
        forward = Seen(0, True, len(a), 0, None)
        given = {**options, "reduction": reduction}
        value = F.cross_entropy(a, b, **given)
        forward.used = scores.loss_call("cross_entropy", (a, b), given, value)
        forwards.append(forward)
    tally = Tally()
    tally.fold(forwards)
    whole = F.cross_entropy(logits, target, **options).item()
    found = tally.score().loss
    if (target == ignore).all():
        assert found is None
    else:
        assert found == pytest.approx(whole)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("mse_loss", {"weight": True}),
        ("binary_cross_entropy_with_logits", {"pos_weight": torch.tensor(3.0)}),
        ("kl_div", {"reduction": "batchmean"}),
        ("multilabel_soft_margin_loss", {}),
        ("cross_entropy", {}),
    ],
)
def test_other_losses_over_all_rows(name: str, options: dict[str, object]):
    torch.manual_seed(4)
    inputs, targets, weights = torch.randn(10, 3), torch.rand(10, 3), torch.rand(10, 3)
    function = getattr(F, name)

    def using(part: slice) -> dict[str, object]:
        return {key: weights[part] if key == "weight" else v for key, v in options.items()}

    forwards = []
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        forward = Seen(0, True, part.stop - part.start, 0, None)
        value = function(inputs[part], targets[part], **using(part))
        forward.used = scores.loss_call(name, (inputs[part], targets[part]), using(part), value)
        forwards.append(forward)
    tally = Tally()
    tally.fold(forwards)
    whole = function(inputs, targets, **using(slice(0, 10))).item()
    assert tally.score().loss == pytest.approx(whole)
