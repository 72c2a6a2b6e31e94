"""A run of training keeps its numbers by step, and its gradients' norm."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Epoch, Prediction
from pipetrace.tracefile import Writer
from pipetrace.training.strands import ByHand, Strand, settings


def test_an_epochs_norm_is_that_of_its_last_step(task: Any):
    norms = []
    with pipetrace.record() as run:
        for _ in range(2):
            for x, y in task.loader:
                task.optimizer.zero_grad()
                F.cross_entropy(task.model(x), y).backward()
                grads = [parameter.grad for parameter in task.model.parameters()]
                task.optimizer.step()
            norms.append(torch.nn.utils.get_total_norm(grads).item())
    found = [epoch.gradient_norm for epoch in run.recording.all(Epoch)]
    assert found == pytest.approx(norms, rel=1e-5)


def test_losses_and_rates_by_step(task: Any):
    own, rates = [], []
    schedule = torch.optim.lr_scheduler.ExponentialLR(task.optimizer, 0.5)
    with pipetrace.record() as run:
        for _ in range(2):
            for x, y in task.loader:
                task.optimizer.zero_grad()
                loss = F.cross_entropy(task.model(x), y)
                loss.backward()
                rates.append(task.optimizer.param_groups[0]["lr"])
                task.optimizer.step()
                own.append(loss.item())
            schedule.step()
    assert list(run.recording.series["loss/0"]) == own
    assert list(run.recording.series["rate/0"]) == rates


def test_several_backwards_before_a_step_are_one_loss_and_a_step_without_one_keeps_its_place():
    strand, writer = Strand(0, 0, None), Writer(None)
    strand.step(0.1, [])
    strand.step(0.1, [torch.tensor(1.0), torch.tensor(3.0)])
    strand.step(None, [])
    assert strand.step(torch.tensor(0.05), [torch.tensor(4.0)]) == 4
    strand.write(writer)
    series = writer.recording().series
    assert repr(list(series["loss/0"])) == "[nan, 2.0, nan, 4.0]"
    assert repr([round(rate, 3) for rate in series["rate/0"]]) == "[0.1, 0.1, nan, 0.05]"
    assert strand.mean_loss() == 3.0
    assert strand.mean_loss() is None


def test_who_steps(task: Any):
    strand = Strand(0, 0, task.model)
    assert not strand.owns(task.optimizer)
    assert not strand.owns(None)
    strand.join(task.optimizer)
    strand.join(None)
    assert strand.owns(task.optimizer)
    assert strand.owns(None)
    assert strand.rates() == (0.1,)


def test_a_change_by_hand_is_noticed():
    by_hand, model = ByHand(), nn.Linear(2, 2)
    by_hand.backward(model)
    assert by_hand.waiting
    assert not by_hand.changed(model)
    by_hand.backward(model)
    with torch.no_grad():
        model.weight += 1
    assert by_hand.changed(model)
    assert not by_hand.waiting


def test_a_change_beside_an_optimizer_is_no_step(task: Any):
    by_hand = ByHand()
    by_hand.backward(task.model)
    with torch.no_grad():
        task.model[0].weight += 1
    assert not by_hand.changed(task.model)


def test_a_model_lives_on_until_another_one_learns():
    alive = []

    def train() -> None:
        model = nn.Linear(4, 2)
        alive.append(weakref.ref(model))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            loss = F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8, dtype=torch.long))
            gc.collect()
            assert alive[-1]() is model
            assert len([each for each in alive if each() is not None]) == 1
            loss.backward()
            optimizer.step()

    with pipetrace.record() as run:
        for _ in range(2):
            for _ in pipetrace.epochs([0]):
                train()
    assert [item.role for item in run.recording.all(Prediction)].count("chosen") == 1


def test_settings_are_what_a_person_sets():
    weights = nn.Linear(1, 1).parameters()
    adam = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1)
    found = {argument.name: argument.value for argument in settings(adam)}
    assert found == {"lr": "0.01", "weight_decay": "0.1", "betas": "(0.9, 0.999)"}
    sgd = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    assert [argument.name for argument in settings(sgd)] == ["lr"]
