"""A probe says what a plain recomputation says, and leaves no trace."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.capture import roots
from pipetrace.records import Probe
from pipetrace.training import scores
from pipetrace.training.probe import MASKS, Fixed, Probed, probe


def fixed(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Fixed:
    with torch.no_grad():
        output = model(x)
    call = scores.loss_call("cross_entropy", (output, y), {}, F.cross_entropy(output, y))
    assert call is not None
    pairing = scores.pair(output, call)
    assert pairing is not None
    modes = tuple(module.training for module in model.modules())
    return Fixed(weakref.ref(model), (x,), {}, y, call, pairing, modes, True)


def plain(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    modes = [module.training for module in model.modules()]
    with torch.no_grad():
        logits = model.eval()(x)
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    return F.cross_entropy(logits, y).item(), int((logits.argmax(1) == y).sum()) / len(y)


def test_dropout_off_is_a_plain_pass_in_eval_mode(task: Any):
    found, *_ = probe(fixed(task.model, task.x, task.y), 3, 7)
    assert found is not None
    loss, accuracy = plain(task.model, task.x, task.y)
    assert found.off.loss == pytest.approx(loss, abs=1e-6)
    assert found.off.accuracy == accuracy
    assert (found.training, found.epoch, found.masks, found.off.rows) == (3, 7, MASKS, 24)
    assert found.on_low is not None
    assert found.on_high is not None
    assert found.on_low < found.on.loss < found.on_high
    assert found.on.loss != found.off.loss


def test_masks_of_every_epoch_are_the_same(task: Any):
    rows = fixed(task.model, task.x, task.y)
    assert probe(rows, 0, 1) == probe(rows, 0, 1)


def test_without_randomness_on_is_off(task: Any):
    found, *_ = probe(fixed(task.model, task.x, task.y)._replace(random=False), 0, 1)
    assert found is not None
    assert found.masks == 0
    assert found.on == found.off


def test_nothing_is_left_behind():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Sequential(nn.Linear(6, 2))
    )
    model[3].eval()
    x, y = torch.randn(10, 4), torch.randint(2, (10,))
    F.cross_entropy(model(x), y).backward()
    rows = fixed(model, x, y)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    buffers = [id(buffer) for buffer in model.buffers()]
    grads = [(id(p.grad), p.grad._version) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    streams = torch.get_rng_state(), numpy.random.get_state()[1].tobytes()
    queued = list(torch.cuda._queued_calls)
    assert probe(rows, 0, 1)[0] is not None
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in state)
    assert [id(buffer) for buffer in model.buffers()] == buffers
    assert [(id(p.grad), p.grad._version) for p in model.parameters()] == grads
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert numpy.random.get_state()[1].tobytes() == streams[1]
    assert torch.cuda._queued_calls == queued


def test_a_model_that_cannot_be_called_again_gives_no_probe(task: Any):
    rows = fixed(task.model, task.x, task.y)
    task.model[0] = nn.Linear(3, 6)
    assert probe(rows, 0, 1) == Probed()
    assert task.model.training


def test_the_last_probe_of_a_script_can_be_computed_from_its_model(ran: Callable[[str], Any]):
    for name, rows in (
        ("plain_slices", ("net", "X", "y")),
        ("kfold", ("model", "x_train", "y_train")),
    ):
        run = ran(name)
        model, x, y = (run.names[key] for key in rows)
        found = run.recording.all(Probe)[-1]
        loss, accuracy = plain(model, x, y)
        assert found.off.rows == len(x)
        assert found.off.loss == pytest.approx(loss, abs=1e-6)
        assert found.off.accuracy == accuracy


def test_batch_normalisation_is_off_on_both_sides():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(12, 4), torch.randint(2, (12,))
    with pipetrace.record() as run:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    found = run.recording.all(Probe)
    assert len(found) == 3
    assert all(each.on == each.off for each in found)
    assert found[-1].off.loss == pytest.approx(plain(model, x, y)[0], abs=1e-6)
    assert not roots.opaque(model)


def trained(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return run.recording.all(Probe)[-1]


def test_dropout_on_switches_dropout_and_nothing_else():
    class Doubling(nn.Module):
        """Gives other numbers in train mode, without being random."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x if self.training else x

    torch.manual_seed(0)
    x, y = torch.randn(32, 4), torch.randint(2, (32,))
    drop = nn.Dropout(0.5)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), Doubling(), drop, nn.Linear(8, 2))
    found = trained(model, x, y)
    model.eval()
    drop.train()
    losses = []
    with torch.no_grad():
        for seed in range(MASKS):
            torch.manual_seed(20_260_000 + seed)
            losses.append(F.cross_entropy(model(x), y).item())
    assert found.masks == MASKS
    assert found.on.loss == pytest.approx(sum(losses) / MASKS, abs=1e-6)
    assert found.on.loss != found.off.loss


def test_a_dropout_written_into_a_module_is_switched_with_that_module():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(F.dropout(x, 0.5, self.training))

    torch.manual_seed(0)
    found = trained(nn.Sequential(Block()), torch.randn(32, 4), torch.randint(2, (32,)))
    assert found.masks == MASKS
    assert found.on_low is not None
    assert found.on_high is not None
    assert found.on_low < found.on_high
