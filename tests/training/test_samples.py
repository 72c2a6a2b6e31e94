"""Rows are ranked by the trained model, and what is said of them is what the model itself says."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace import session
from pipetrace.records import Capture, Op, Prediction, Ranking
from pipetrace.training import spread
from pipetrace.training.kept import Kept
from pipetrace.training.spread import DRAWS, FEW
from pipetrace.training.tallies import Seen


def fitted(task: Any, held: torch.Tensor, truth: torch.Tensor, **options: Any) -> Any:
    """Train two epochs, evaluating batches of 16 after each."""
    reduction = options.pop("reduction", "mean")
    with pipetrace.record(**options) as run:
        for _ in range(2):
            task.model.train()
            for x, y in task.loader:
                task.optimizer.zero_grad()
                F.cross_entropy(task.model(x), y, reduction=reduction).backward()
                task.optimizer.step()
            task.model.eval()
            with torch.no_grad():
                for x, y in zip(held.split(16), truth.split(16), strict=True):
                    F.cross_entropy(task.model(x), y, reduction=reduction)
    return run.recording


@pytest.fixture
def held() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(7))
    return x, (x[:, 1] > 0).long()


def test_the_ranking_is_what_the_model_itself_gives(task: Any, held: Any):
    recording = fitted(task, *held)
    found = recording.last(Ranking)
    assert (found.rows, found.total, found.task) == (100, 100, "classes")
    with torch.no_grad():
        logits = task.model.eval()(held[0])
        losses = F.cross_entropy(logits, held[1], reduction="none")
        shares = logits.softmax(1)
    top = shares.topk(2).values
    margins = top[:, 0] - top[:, 1]
    assert [row.sample for row in found.wrong] == losses.argsort(descending=True)[:8].tolist()
    assert [row.sample for row in found.uncertain] == margins.argsort()[:8].tolist()
    for row in (*found.wrong, *found.uncertain):
        at = row.sample
        assert row.loss == pytest.approx(losses[at].item(), rel=1e-5)
        assert row.truth == held[1][at].item()
        assert row.predicted == logits[at].argmax().item()
        assert row.probability == pytest.approx(shares[at].max().item(), rel=1e-5)
        assert row.true_probability == pytest.approx(shares[at, held[1][at]].item(), rel=1e-5)
        assert row.margin == pytest.approx(margins[at].item(), rel=1e-4, abs=1e-6)


def test_the_other_samples_are_the_first_of_both_lists(task: Any, held: Any):
    recording = fitted(task, *held)
    ranking, told = recording.last(Ranking), recording.all(Prediction)
    assert [item.role for item in told] == [*["wrong"] * 2, *["uncertain"] * 2, "chosen"]
    assert told[0].sample == next(r.sample for r in ranking.wrong if r.sample != 0)
    assert len({item.sample for item in told}) == 5
    with torch.no_grad():
        logits = task.model.eval()(held[0])
    captures = {item.id: item for item in recording.all(Capture)}
    for item in told:
        assert item.scores == pytest.approx(logits[item.sample].tolist(), abs=1e-6)
        assert item.truth == held[1][item.sample].item()
        row = captures[item.capture].inputs[0][1].row
        assert row == pytest.approx(held[0][item.sample].tolist())
        assert sum(op.capture == item.capture for op in recording.all(Op)) == 4
    # Only the chosen row's replay is compared with a plain one: the others are no new evidence.
    assert [captures[item.capture].receipt is None for item in told] == [*[True] * 4, False]
    assert recording.all(Prediction)[-1].sample == 0


def test_the_spread_is_that_of_train_mode_dropout(task: Any, held: Any):
    recording = fitted(task, *held)
    told = recording.last(Prediction)
    found = told.spread
    assert (found.draws, found.kind, sum(found.votes)) == (DRAWS, "probabilities", DRAWS)
    model = task.model.train()
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = model(held[0][:1].expand(20_000, 4)).softmax(1)
    spread = drawn.std(0)
    for at in range(2):
        far = 4 * spread[at].item() / DRAWS**0.5
        assert found.mean[at] == pytest.approx(drawn[:, at].mean().item(), abs=far)
        assert found.low[at] < found.mean[at] < found.high[at]
    votes = drawn.argmax(1).bincount(minlength=2) / 20_000
    assert found.votes[0] / DRAWS == pytest.approx(votes[0].item(), abs=0.2)


def test_a_mask_for_the_whole_batch_is_drawn_one_by_one(held: Any, task: Any):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop, self.last = nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x) * self.drop(torch.ones(6)))

    torch.manual_seed(3)
    model = Shared()
    task = task._replace(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    found = fitted(task, *held).last(Prediction).spread
    assert found.draws == FEW
    assert found.low[0] < found.high[0]


def test_without_anything_random_there_is_no_spread(held: Any, task: Any):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    task = task._replace(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert all(item.spread is None for item in fitted(task, *held).all(Prediction))


def test_batch_normalisation_stays_in_eval_mode_for_the_spread(held: Any, task: Any):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))
    task = task._replace(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    recording = fitted(task, *held)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    found = recording.last(Prediction).spread
    assert found.draws == DRAWS
    with torch.no_grad():
        model.eval()[2].train()
        drawn = model(held[0][:1].expand(20_000, 4)).softmax(1)
    far = 4 * drawn[:, 0].std().item() / DRAWS**0.5
    assert found.mean[0] == pytest.approx(drawn[:, 0].mean().item(), abs=far)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_values_are_ranked_by_their_loss(ran: Callable[[str], Any]):
    run = ran("regression_mse")
    found = run.recording.last(Ranking)
    rows = run.names["test"]
    with torch.no_grad():
        given = run.names["model"].eval()(run.names["x"][rows]).reshape(-1)
    truth = run.names["y"][rows].reshape(-1)
    errors = (given - truth).abs()
    assert found.uncertain == ()
    order = errors.argsort(descending=True)[: len(found.wrong)].tolist()
    assert [row.sample for row in found.wrong] == order
    assert found.wrong[0].predicted == pytest.approx(given[order[0]].item(), rel=1e-5)
    assert found.wrong[0].truth == pytest.approx(truth[order[0]].item())


def test_one_logit_stands_for_two_classes(ran: Callable[[str], Any]):
    run = ran("binary_bce")
    found = run.recording.last(Ranking)
    x, y = run.names["test_set"][:]
    with torch.no_grad():
        chances = run.names["model"].eval()(x).sigmoid().reshape(-1)
    for row in (*found.wrong, *found.uncertain):
        chance = chances[row.sample].item()
        assert row.predicted == int(chance > 0.5)
        assert row.probability == pytest.approx(max(chance, 1 - chance), rel=1e-5)
        assert row.margin == pytest.approx(abs(2 * chance - 1), abs=1e-6)
        assert row.truth == y[row.sample].item()


def test_where_nothing_was_evaluated_the_fixed_training_rows_are_ranked(task: Any):
    with pipetrace.record() as run:
        for x, y in task.loader:
            task.optimizer.zero_grad()
            F.cross_entropy(task.model(x), y).backward()
            task.optimizer.step()
    found = run.recording.last(Ranking)
    assert (found.rows, found.total, found.heldout) == (24, 24, False)


def test_without_values_no_row_is_kept_or_ranked(task: Any, held: Any):
    recording = fitted(task, *held, values=False)
    assert recording.all(Ranking) == []
    assert [item.role for item in recording.all(Prediction)] == ["chosen"]


def test_of_a_large_model_fewer_samples_are_traced(held: Any, task: Any):
    layers = [layer for _ in range(70) for layer in (nn.Linear(4, 4), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(4, 2))
    task = task._replace(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    recording = fitted(task, *held)
    # 141 ops each: two other samples stay within 400.
    assert [item.role for item in recording.all(Prediction)] == ["wrong", "uncertain", "chosen"]


def test_as_many_rows_are_kept_as_there_is_room_for():
    kept = Kept()
    for start in range(0, 500, 100):
        seen = Seen(0, False, 100, 0, None)
        kept.add(seen, start, (torch.arange(start, start + 100.0)[:, None],), {})
        kept.take_target(seen, torch.arange(start, start + 100))
    assert kept.rows == 256
    assert [batch.rows for batch in kept.batches] == [100, 100, 56]
    assert kept.batches[-1].target.tolist() == list(range(200, 256))
    wide = Kept()
    wide.add(Seen(0, False, 8, 0, None), 0, (torch.zeros(8, 300_000),), {})
    assert wide.rows == 3
    assert sum(t.numel() for t in wide.batches[0].args) * 4 <= 4_000_000


def test_rows_of_another_forward_are_let_go():
    kept = Kept()
    one, two = Seen(0, False, 4, 0, None), Seen(0, False, 4, 0, None)
    kept.add(one, 0, (torch.zeros(4, 2),), {})
    kept.add(two, 4, (torch.zeros(4, 2),), {})
    kept.settle([one], 4)
    kept.add(two, 4, (torch.zeros(4, 2),), {})
    assert [batch.seen for batch in kept.batches] == [one]


def test_the_program_cannot_change_what_was_kept():
    kept, x = Kept(), torch.ones(4, 2)
    kept.add(Seen(0, False, 4, 0, None), 0, (x,), {})
    x.zero_()
    assert kept.batches[0].args[0].sum() == 8


def test_a_sequence_is_ranked_by_the_mean_loss_of_its_tokens(ran: Callable[[str], Any]):
    recording = ran("language_model").recording
    found = recording.last(Ranking)
    assert found is not None
    assert all(row.loss > 0 and row.predicted is None for row in found.wrong)
    assert [row.loss for row in found.wrong] == sorted(
        (row.loss for row in found.wrong), reverse=True
    )


@pytest.mark.parametrize("inside", ["sum", "mean"])
def test_the_reduction_of_the_loop_does_not_matter(inside: str, task: Any, held: Any):
    found = fitted(task, *held, reduction=inside).last(Ranking)
    with torch.no_grad():
        losses = F.cross_entropy(task.model.eval()(held[0]), held[1], reduction="none")
    assert found.wrong[0].loss == pytest.approx(losses.max().item(), rel=1e-5)


def test_training_rows_do_not_stand_for_evaluated_ones_that_are_too_large(task: Any):
    torch.manual_seed(0)
    model = nn.Sequential(nn.AdaptiveAvgPool1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for x, y in task.loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            F.cross_entropy(model(torch.randn(2, 1_100_000)), torch.tensor([0, 1]))
    assert run.recording.last(Prediction) is not None
    assert run.recording.all(Ranking) == []


def test_inputs_of_models_that_are_gone_are_let_go(task: Any):
    with pipetrace.record() as run:
        for _ in range(3):
            model = nn.Linear(4, 2)
            F.cross_entropy(model(task.x[:5]), task.y[:5]).backward()
            torch.optim.SGD(model.parameters(), lr=0.1).step()
        del model
        gc.collect()
        assert session.current is not None
        kept = session.current.recorder.kept.forwards
        assert [forward.args for forward in kept.values()][:2] == [(), ()]
    assert run.recording.all(Capture)


def test_a_large_row_is_drawn_for_one_by_one(task: Any, held: Any, monkeypatch: pytest.MonkeyPatch):
    assert fitted(task, *held).last(Prediction).spread.draws == DRAWS
    monkeypatch.setattr(spread, "_AT_ONCE", 1_000)
    assert fitted(task, *held).last(Prediction).spread.draws == FEW
