"""Evaluations are told from training, scored, and their rows are looked up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import pipetrace
from pipetrace.records import Dataset, Epoch, Evaluation
from pipetrace.tracefile import Recording


class Setting:
    """Rows to train on, rows held out, and a model."""

    def __init__(self) -> None:
        torch.manual_seed(4)
        x = torch.randn(48, 4)
        rows = TensorDataset(x, (x[:, 0] > 0).long())
        self.training = torch.utils.data.Subset(rows, range(32))
        self.held_out = torch.utils.data.Subset(rows, range(32, 48))
        self.model = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 2))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.scores: list[tuple[float, float]] = []

    def train(self) -> None:
        self.model.train()
        for x, y in DataLoader(self.training, 8, shuffle=True):
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    @torch.no_grad()
    def evaluate(self, rows: Any) -> None:
        self.model.eval()
        loss, right = 0.0, 0
        for x, y in DataLoader(rows, 5):
            logits = self.model(x)
            loss += F.cross_entropy(logits, y).item() * len(y)
            right += int((logits.argmax(1) == y).sum())
        self.scores.append((loss / len(rows), right / len(rows)))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def stated(recording: Recording) -> list[tuple[int, int, float | None]]:
    return [(e.epoch, e.score.rows, e.seen) for e in recording.all(Evaluation)]


def test_scores_and_shares_of_loaders_that_are_made_anew(setting: Setting):
    with pipetrace.record() as run:
        for _ in range(3):
            setting.train()
            setting.evaluate(setting.held_out)
            setting.evaluate(setting.training)
    found = run.recording.all(Evaluation)
    assert [each.score.loss for each in found] == pytest.approx(
        [loss for loss, _ in setting.scores], abs=1e-6
    )
    assert [each.score.accuracy for each in found] == [right for _, right in setting.scores]
    assert stated(run.recording)[:2] == [(1, 16, 0.0), (1, 32, 1.0)]
    assert [seen for _, rows, seen in stated(run.recording) if rows == 32] == [1.0] * 3
    assert {each.mode for each in found} == {False}
    assert [each.index for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each.step for each in found] == [4, 4, 8, 8, 12, 12]


def test_an_evaluation_before_training_belongs_to_no_epoch(setting: Setting):
    with pipetrace.record() as run:
        setting.evaluate(setting.held_out)
        setting.train()
    assert [(e.epoch, e.step) for e in run.recording.all(Evaluation)] == [(0, 0)]
    assert [epoch.steps for epoch in run.recording.all(Epoch)] == [4]


def test_what_comes_with_every_step_is_no_evaluation(setting: Setting):
    teacher = nn.Linear(4, 2)
    with pipetrace.record() as run:
        for _ in range(2):
            for x, _ in DataLoader(setting.training, 8):
                with torch.no_grad():
                    target = teacher(x).softmax(1)
                setting.optimizer.zero_grad()
                F.cross_entropy(setting.model(x), target).backward()
                setting.optimizer.step()
    assert run.recording.all(Evaluation) == []
    assert [epoch.steps for epoch in run.recording.all(Epoch)] == [4, 4]


def test_an_evaluation_in_the_middle_of_an_epoch(setting: Setting):
    with pipetrace.record() as run:
        for _ in range(2):
            for number, (x, y) in enumerate(DataLoader(setting.training, 8)):
                setting.model.train()
                setting.optimizer.zero_grad()
                F.cross_entropy(setting.model(x), y).backward()
                setting.optimizer.step()
                if number == 1:
                    setting.evaluate(setting.held_out)
    assert [(e.epoch, e.step) for e in run.recording.all(Evaluation)] == [(0, 2), (1, 6)]
    assert [epoch.steps for epoch in run.recording.all(Epoch)] == [4, 4]


def test_the_rows_behind_each_phase_are_described_once(setting: Setting):
    with pipetrace.record() as run:
        for _ in range(2):
            setting.train()
            setting.evaluate(setting.held_out)
    assert run.recording.all(Dataset) == [
        Dataset(role="training", rows=32, batch=8, features=(4,), name="Subset"),
        Dataset(role="evaluation", rows=16, batch=5, features=(4,), name="Subset"),
    ]
