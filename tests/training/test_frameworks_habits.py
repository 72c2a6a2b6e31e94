"""What frameworks do and plain loops do not, done here by hand, is understood."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import pipetrace
from pipetrace.records import Epoch, Evaluation, Model, Probe, Training
from pipetrace.training.phases import LOADER


class Output(NamedTuple):
    loss: torch.Tensor
    logits: torch.Tensor


class Summing(nn.Module):
    """Divides its summed loss by a count that it is given, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, y: torch.Tensor, count: int) -> Output:
        logits = self.head(x)
        return Output(F.cross_entropy(logits, y, reduction="sum") / count, logits)


class Told(nn.Module):
    """Drops where its caller says so, whatever its mode, as Keras' layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, training: bool = False) -> torch.Tensor:
        return self.head(F.dropout(x, 0.9, training=training))


def test_a_pass_that_nobody_exhausts_is_a_whole_one(task: Any):
    schedule = torch.optim.lr_scheduler.StepLR(task.optimizer, 1, gamma=0.5)
    with pipetrace.record() as run:
        for _ in range(3):
            batches = iter(task.loader)
            for _ in range(len(task.loader)):
                x, y = next(batches)
                task.optimizer.zero_grad()
                F.cross_entropy(task.model(x), y).backward()
                task.optimizer.step()
            schedule.step()
    epochs = run.recording.all(Epoch)
    assert [(epoch.steps, epoch.rule) for epoch in epochs] == [(3, LOADER)] * 3
    assert [epoch.rates for epoch in epochs] == [(0.1,), (0.05,), (0.025,)]


def test_losses_that_are_shares_of_a_step_add_up(task: Any):
    torch.manual_seed(0)
    model = Summing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    with pipetrace.record() as run:
        for x, y in DataLoader(TensorDataset(task.x, task.y), 8):
            parts = [model(x[rows], y[rows], 9).loss for rows in (slice(0, 4), slice(4, 8))]
            for part in parts:
                part.backward()
            losses.append(sum(part.item() for part in parts))
            optimizer.step()
            optimizer.zero_grad()
    assert list(run.recording.series["loss/0"]) == pytest.approx(losses)
    (epoch,) = run.recording.all(Epoch)
    assert epoch.score.loss == pytest.approx(sum(losses) / 3)
    assert epoch.score.accuracy is not None


def test_what_is_only_declared_is_no_forward(task: Any):
    with pipetrace.record() as run:
        with torch.device("meta"):
            nn.Linear(4, 2)(torch.empty(3, 4))
        F.cross_entropy(task.model(task.x), task.y).backward()
        task.optimizer.step()
    assert [model.type for model in run.recording.all(Model)] == ["Sequential"]
    assert len(run.recording.all(Training)) == 1


def test_a_training_flag_of_the_call_is_the_mode_of_a_probe(task: Any):
    torch.manual_seed(0)
    model = Told()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for _ in range(2):
            for x, y in task.loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x, training=True), y).backward()
                optimizer.step()
    first, _ = run.recording.all(Probe)
    assert first.on.loss != first.off.loss


def test_rows_evaluated_before_the_training_are_known_to_be_held_out(task: Any):
    held = torch.randn(8, 4)
    with pipetrace.record() as run:
        task.model.eval()
        with torch.no_grad():
            F.cross_entropy(task.model(held), torch.zeros(8, dtype=torch.long))
        task.model.train()
        for x, y in task.loader:
            task.optimizer.zero_grad()
            F.cross_entropy(task.model(x), y).backward()
            task.optimizer.step()
    (evaluation,) = run.recording.all(Evaluation)
    assert (evaluation.epoch, evaluation.index, evaluation.seen) == (0, 0, 0.0)
