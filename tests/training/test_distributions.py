"""Histograms count what is there, in the forwards that the probes make anyway."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Histograms, Probe, Spectrum
from pipetrace.training.distributions import (
    BINS,
    MOST,
    Listening,
    Moments,
    even,
    modules,
    parameters,
    spectra,
)


def train(task: Any, epochs: int) -> None:
    for _ in range(epochs):
        task.model.train()
        for x, y in task.loader:
            task.optimizer.zero_grad()
            F.cross_entropy(task.model(x), y).backward()
            task.optimizer.step()


def recounted(found: Spectrum, values: torch.Tensor) -> bool:
    flat = values.detach().reshape(-1)
    low, high = flat.min().item(), flat.max().item()
    counts = torch.histc(flat, BINS, low, high).int().tolist()
    return (found.low, found.high, list(found.counts), found.total) == (
        low, high, counts, flat.numel(),
    )  # fmt: skip


def test_weights_are_those_before_the_first_step_and_at_each_epochs_end(task: Any):
    before = {name: value.detach().clone() for name, value in task.model.named_parameters()}
    with pipetrace.record() as run:
        train(task, 3)
    found = run.recording.all(Histograms)
    assert [item.epoch for item in found] == [0, 1, 2, 3]
    assert [each.path for each in found[0].weights] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert all(recounted(each, before[each.path]) for each in found[0].weights)
    after = dict(task.model.named_parameters())
    assert all(recounted(each, after[each.path]) for each in found[-1].weights)
    assert not any(recounted(each, after[each.path]) for each in found[0].weights)


def test_activations_are_the_outputs_of_the_fixed_rows_in_eval_mode(task: Any):
    task.model[2].p = 0.9
    with pipetrace.record() as run:
        train(task, 2)
    last = run.recording.all(Histograms)[-1]
    # The fixed rows are all 24 in some order, and a histogram knows no order; the dropout, which
    # is off, would show what its input shows.
    assert run.recording.last(Probe).on.rows == 24
    assert [each.path for each in last.activations] == ["0", "1", "3"]
    model = task.model.eval()
    with torch.no_grad():
        given = [model[0](task.x), model[:2](task.x), model(task.x)]
    for each, values in zip(last.activations, given, strict=True):
        assert sum(each.counts) == each.total == values.numel()
        assert each.low == pytest.approx(values.min().item(), abs=1e-6)
        assert each.high == pytest.approx(values.max().item(), abs=1e-6)


def test_numbers_that_are_all_equal_have_one_interval_and_those_without_a_size_are_left_out():
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.bias.fill_(0.25)
        model.weight.copy_(torch.tensor([[1.0, float("nan"), 2.0], [float("inf"), 3.0, 4.0]]))
    weight, bias = spectra(model)
    assert (bias.low, bias.high, bias.counts) == (0.25, 0.25, (2,))
    assert (weight.low, weight.high, sum(weight.counts), weight.total) == (1.0, 4.0, 4, 6)


def test_of_large_parameters_a_spread_sample_is_counted():
    weight, _ = spectra(nn.Linear(1000, 500))
    assert sum(weight.counts) < weight.total == 500_000
    assert sum(weight.counts) >= 60_000


def test_of_many_parameters_no_biases_are_taken():
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(40)))
    found = [path for path, _ in parameters(deep)]
    assert len(found) == MOST
    assert (found[0], found[-1]) == ("0.weight", "39.weight")
    assert not any(path.endswith("bias") for path in found)
    assert even(found, 2) == ["0.weight", "39.weight"]


def test_parameters_that_hold_no_numbers_are_left_out():
    assert spectra(nn.LazyLinear(3)) == ()
    assert spectra(nn.Linear(2, 2, device="meta")) == ()
    assert len(spectra(nn.Linear(2, 2, dtype=torch.bfloat16))) == 2


def test_listening_leaves_no_hook_and_changes_no_output(task: Any):
    task.model.eval()
    plain = task.model(task.x)
    listening = Listening(task.model, ["0", "3", "nowhere"])
    with listening.on():
        heard = task.model(task.x)
    assert torch.equal(plain, heard)
    assert [each.path for each in listening.spectra()] == ["0", "3"]
    assert not torch.nn.modules.module._global_forward_hooks
    assert not any(module._forward_hooks for module in task.model.modules())


def test_a_module_that_writes_over_its_input_changes_no_histogram(task: Any):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True)).eval()
    listening = Listening(model, ["0", "1"])
    with torch.no_grad(), listening.on():
        model(task.x)
    first, second = listening.spectra()
    assert first.low < 0 == second.low


def test_modules_without_children_are_listened_to_and_dropout_is_not(task: Any):
    with pipetrace.record() as run:
        train(task, 1)
    from pipetrace.records import Op

    ops = [op for op in run.recording.all(Op) if op.capture == 0]
    assert modules(task.model, ops) == ("0", "1", "3")


def test_in_a_long_training_moments_grow_rare_and_the_last_is_kept():
    moments = Moments()
    stated = [
        item.epoch
        for epoch in range(1, 501)
        for item in moments.add(Histograms(training=0, epoch=epoch))
    ]
    stated += [item.epoch for item in moments.end()]
    assert stated[:40] == list(range(1, 41))
    assert (stated[40], stated[-1]) == (44, 500)
    assert len(stated) < 75
    assert moments.end() == []


def test_a_second_training_has_moments_of_its_own(task: Any):
    with pipetrace.record() as run:
        train(task, 2)
        task.model[0].reset_parameters()
        other = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        task = task._replace(model=other, optimizer=torch.optim.SGD(other.parameters(), lr=0.1))
        train(task, 2)
    found = run.recording.all(Histograms)
    assert [(item.training, item.epoch) for item in found] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip
