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
