"""Of many short epochs most are told by their losses alone; what is told stays right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import pipetrace
from pipetrace.records import Epoch


def fit(task: Any) -> list[float]:
    losses = []
    for x, y in task.loader:
        loss = F.cross_entropy(task.model(x), y)
        task.optimizer.zero_grad()
        loss.backward()
        task.optimizer.step()
        losses.append(loss.item())
    return losses


def test_of_many_short_epochs_some_are_counted_and_all_have_their_loss(task: Any):
    with pipetrace.record() as run:
        losses = [fit(task) for _ in range(40)]
    epochs = run.recording.all(Epoch)
    means = [sum(epoch) / len(epoch) for epoch in losses]
    assert [epoch.score.loss for epoch in epochs] == pytest.approx(means, rel=1e-5)
    assert {epoch.score.rows for epoch in epochs} == {24}
    counted = [epoch.index for epoch in epochs if epoch.score.accuracy is not None]
    assert counted[:10] == list(range(1, 11))
    assert len(counted) < 40
    assert list(run.recording.series["loss/0"]) == pytest.approx(
        [loss for epoch in losses for loss in epoch]
    )


def test_where_targets_are_ignored_every_step_is_looked_at(task: Any):
    targets = task.y.clone()
    targets[::5] = -100
    with pipetrace.record() as run:
        for _ in range(14):
            for rows in torch.arange(24).split(8):
                loss = F.cross_entropy(task.model(task.x[rows]), targets[rows])
                task.optimizer.zero_grad()
                loss.backward()
                task.optimizer.step()
    assert all(epoch.score.accuracy is not None for epoch in run.recording.all(Epoch))


@pytest.mark.parametrize("first", [True, False])
def test_of_two_losses_of_a_step_the_one_that_is_trained_on_is_told(task: Any, first: bool):
    losses = []
    with pipetrace.record() as run:
        for _ in range(30):
            for x, y in task.loader:
                logits = task.model(x)
                two = (
                    F.cross_entropy(logits, y),
                    F.cross_entropy(logits, y, label_smoothing=0.3),
                )
                loss = two[0] if first else two[1]
                task.optimizer.zero_grad()
                loss.backward()
                task.optimizer.step()
                losses.append(loss.item())
    assert list(run.recording.series["loss/0"]) == pytest.approx(losses)
    means = [sum(losses[at : at + 3]) / 3 for at in range(0, 90, 3)]
    epochs = run.recording.all(Epoch)
    assert [epoch.score.loss for epoch in epochs] == pytest.approx(means, rel=1e-5)


def test_a_loss_for_the_log_after_the_backward_changes_nothing(task: Any):
    losses = []
    with pipetrace.record() as run:
        for _ in range(30):
            for x, y in task.loader:
                logits = task.model(x)
                loss = F.cross_entropy(logits, y)
                task.optimizer.zero_grad()
                loss.backward()
                F.cross_entropy(logits, y, label_smoothing=0.3)
                task.optimizer.step()
                losses.append(loss.item())
    assert list(run.recording.series["loss/0"]) == pytest.approx(losses)
