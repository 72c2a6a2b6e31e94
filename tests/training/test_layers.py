"""What is measured of a step is what plain arithmetic on copies of the model gives."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Epoch, Layer, Layers
from pipetrace.training import layers
from pipetrace.training.layers import Gauge, gradient_norm, sample, total


def norm(tensors: Any) -> float:
    return math.sqrt(sum(float(t.detach().double().pow(2).sum()) for t in tensors))


def measured(
    model: nn.Module, optimizer: torch.optim.Optimizer, backward: Callable[[], None]
) -> tuple[Layer, ...]:
    backward()
    gauge = Gauge(model)
    gauge.before_step(optimizer, False)
    optimizer.step()
    optimizer.zero_grad()
    gauge.after_step(5)
    found = gauge.layers()
    assert gauge.step == 5 or not found
    return found


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_step_is_what_copies_say(task: Any, kind: Any):
    optimizer = kind(task.model.parameters(), lr=0.05, weight_decay=0.1)
    before = copy.deepcopy(task.model)
    grads: dict[str, Any] = {}

    def backward() -> None:
        F.cross_entropy(task.model(task.x), task.y).backward()
        grads.update({name: p.grad.clone() for name, p in task.model.named_parameters()})

    first, last = measured(task.model, optimizer, backward)
    for layer in (first, last):
        was, now = before.get_submodule(layer.path), task.model.get_submodule(layer.path)
        change = [a - b for a, b in zip(was.parameters(), now.parameters(), strict=True)]
        own = [grad for name, grad in grads.items() if name.startswith(layer.path + ".")]
        assert layer.type == "Linear"
        assert layer.parameters == sum(p.numel() for p in was.parameters())
        assert layer.gradient == pytest.approx(norm(own), rel=1e-5)
        assert layer.weight == pytest.approx(norm(was.parameters()), rel=1e-5)
        assert layer.update == pytest.approx(norm(change) / norm(was.parameters()), rel=1e-4)
    assert total((first, last)) == pytest.approx(norm(grads.values()), rel=1e-5)


def test_the_norm_of_all_gradients(task: Any):
    assert gradient_norm(task.model) is None
    F.cross_entropy(task.model(task.x), task.y).backward()
    grads = [parameter.grad for parameter in task.model.parameters()]
    assert gradient_norm(task.model) == pytest.approx(norm(grads), rel=1e-5)
    task.model.zero_grad(set_to_none=False)
    assert gradient_norm(task.model) is None
    assert gradient_norm(None) is None


def test_a_shared_parameter_counts_once():
    torch.manual_seed(0)
    table, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    head.weight = table.weight
    model = nn.Sequential(table, head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.tensor([1, 2, 3])
    (layer,) = measured(model, optimizer, lambda: F.cross_entropy(model(tokens), tokens).backward())
    assert (layer.path, layer.parameters) == ("0", 28)


def test_sparse_gradients_are_added_up_by_row():
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(50, 4, sparse=True), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens, kept = torch.tensor([[1, 1, 2], [2, 3, 1]]), []

    def backward() -> None:
        F.cross_entropy(model(tokens), torch.tensor([0, 1])).backward()
        kept.append(model[0].weight.grad.to_dense())

    first, _ = measured(model, optimizer, backward)
    assert first.gradient == pytest.approx(norm(kept), rel=1e-5)
    assert first.update == pytest.approx(0.1 * first.gradient / first.weight, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_other_precisions_do_not_overflow(dtype: torch.dtype):
    weight = nn.Parameter(torch.full((300,), 200.0, dtype=dtype))
    holder = nn.ParameterList([weight])
    optimizer = torch.optim.SGD(holder.parameters(), lr=0.5)
    weight.grad = torch.full((300,), 200.0, dtype=dtype)
    (layer,) = measured(holder, optimizer, lambda: None)
    assert layer.gradient == pytest.approx(200 * math.sqrt(300), rel=1e-3)
    assert layer.update == pytest.approx(0.5, rel=1e-3)


def test_large_parameters_are_sampled_and_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layers, "COPIED", 150_000)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1000, 600), nn.Linear(600, 8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model)
    model(torch.randn(4, 1000)).square().sum().backward()
    gauge = Gauge(model)
    gauge.before_step(optimizer, False)
    kept = sum(copied.numel() for copied in gauge._before)
    optimizer.step()
    gauge.after_step(1)
    assert kept < 170_000
    assert not gauge.exact
    for layer in gauge.layers():
        was, now = before.get_submodule(layer.path), model.get_submodule(layer.path)
        change = [a - b for a, b in zip(was.parameters(), now.parameters(), strict=True)]
        assert layer.update == pytest.approx(norm(change) / norm(was.parameters()), rel=0.1)
        assert layer.weight == pytest.approx(norm(was.parameters()), rel=1e-5)


def test_blocks_are_evenly_spread():
    tensor = torch.arange(400_000.0).view(400, 1000)
    found = sample(tensor, 0.1)
    assert found.numel() == pytest.approx(40_000, rel=0.05)
    assert float(found.mean()) == pytest.approx(float(tensor.mean()), rel=0.03)
    turned = sample(tensor.t(), 0.1)
    assert torch.equal(turned, found)
    assert sample(tensor[:, ::2], 0.1).numel() == 200_000


def test_a_closure_makes_the_gradients_itself(task: Any):
    def closure() -> torch.Tensor:
        task.optimizer.zero_grad()
        loss = F.cross_entropy(task.model(task.x), task.y)
        loss.backward()
        return loss

    gauge = Gauge(task.model)
    gauge.before_step(task.optimizer, True)
    task.optimizer.step(closure)
    gauge.after_step(1)
    found = gauge.layers()
    assert total(found) == pytest.approx(gradient_norm(task.model), rel=1e-5)
    lbfgs = torch.optim.LBFGS(task.model.parameters(), max_iter=3)
    gauge = Gauge(task.model)
    gauge.before_step(lbfgs, True)
    lbfgs.step(closure)
    gauge.after_step(1)
    found = gauge.layers()
    assert [layer.gradient for layer in found] == [None, None]
    assert all(layer.update for layer in found)


def test_a_fused_step_under_a_scale_is_unscaled_or_left_out(task: Any):
    F.cross_entropy(task.model(task.x), task.y).backward()
    plain = gradient_norm(task.model)
    assert plain is not None
    for skipped in (0.0, 1.0):
        optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1, fused=True)
        for parameter in task.model.parameters():
            parameter.grad.mul_(1024.0 if not skipped else 1.0)
        optimizer.grad_scale = torch.tensor(1024.0)
        optimizer.found_inf = torch.tensor(skipped)
        gauge = Gauge(task.model)
        gauge.before_step(optimizer, False)
        gauge.after_step(1)
        found = gauge.layers()
        if skipped:
            assert found == ()
        else:
            assert total(found) == pytest.approx(plain, rel=1e-4)


def test_parameters_with_arithmetic_of_their_own_are_left_alone():
    class Sharded(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
            raise AssertionError("nothing may be computed on it")

    weight = torch.Tensor._make_subclass(Sharded, torch.ones(3), True)
    holder = nn.Module()
    holder.register_parameter("weight", None)
    holder._parameters["weight"] = weight
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    optimizer.param_groups[0]["params"] = [weight]
    gauge = Gauge(holder)
    gauge.before_step(optimizer, False)
    gauge.after_step(1)
    assert gauge.layers() == ()
    assert gradient_norm(holder) is None


def test_frozen_layers_have_a_place_and_no_numbers(task: Any):
    task.model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(task.model[3].parameters(), lr=0.1)
    frozen, trained = measured(
        task.model, optimizer, lambda: F.cross_entropy(task.model(task.x), task.y).backward()
    )
    assert (frozen.gradient, frozen.weight, frozen.update) == (None, None, None)
    assert trained.gradient


def steps(run: Any) -> list[tuple[int, int]]:
    return [(each.epoch, each.step) for each in run.recording.all(Layers)]


def test_gradients_zeroed_after_the_step_are_measured_before(task: Any):
    norms = []
    with pipetrace.record() as run:
        for _ in range(3):
            for x, y in task.loader:
                F.cross_entropy(task.model(x), y).backward()
                grads = [p.grad.clone() for p in task.model.parameters()]
                task.optimizer.step()
                task.optimizer.zero_grad()
                norms.append(norm(grads))
    # Of the first epoch the length is unknown: step 2 is measured, not step 3.
    assert steps(run) == [(1, 2), (2, 3), (3, 3)]
    found = [epoch.gradient_norm for epoch in run.recording.all(Epoch)]
    assert found == pytest.approx([norms[1], norms[5], norms[8]], rel=1e-5)


def test_full_batch_epochs_are_measured_each(task: Any):
    with pipetrace.record() as run:
        for _ in range(12):
            task.optimizer.zero_grad()
            F.cross_entropy(task.model(task.x), task.y).backward()
            task.optimizer.step()
    # After ten epochs one in 200 steps is looked at.
    assert steps(run)[:10] == [(epoch, 1) for epoch in range(1, 11)]
    assert len(steps(run)) <= 12


def test_optimizers_that_take_turns_are_measured_in_turn(task: Any):
    pair = [torch.optim.SGD(task.model[index].parameters(), lr=0.1) for index in (0, 3)]
    with pipetrace.record() as run:
        for _ in range(2):
            for x, y in task.loader:
                for optimizer in pair:
                    optimizer.zero_grad()
                F.cross_entropy(task.model(x), y).backward()
                for optimizer in pair:
                    optimizer.step()
    last = run.recording.all(Layers)[-1]
    assert last.step == 6
    assert all(layer.gradient and layer.update for layer in last.layers)


def test_what_is_changed_by_hand_has_a_norm_and_no_step(task: Any):
    with pipetrace.record() as run:
        for _ in range(3):
            loss = F.cross_entropy(task.model(task.x), task.y)
            task.model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in task.model.parameters():
                    parameter -= 0.1 * parameter.grad
    assert all(not each.layers for each in run.recording.all(Layers))
    assert all(epoch.gradient_norm for epoch in run.recording.all(Epoch))


def test_watching_steps_leaves_weights_as_they_would_be(task: Any):
    def trained(recorded: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = copy.deepcopy(task.model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

        def loop() -> None:
            for _ in range(4):
                for x, y in task.loader:
                    F.cross_entropy(model(x), y).backward()
                    optimizer.step()
                    optimizer.zero_grad()

        if recorded:
            with pipetrace.record() as run:
                loop()
            assert len(run.recording.all(Layers)) == 4
        else:
            loop()
        return model.state_dict()

    plain, seen = trained(False), trained(True)
    assert all(torch.equal(plain[name], seen[name]) for name in plain)
