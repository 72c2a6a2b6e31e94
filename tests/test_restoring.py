"""After a check the model, its optimizers and the random streams are as they were, bit for bit."""

from __future__ import annotations

import copy
import random

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.errors import PipetraceError

X, Y = torch.randn(16, 4), torch.randint(0, 3, (16,))


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4),
                         nn.Linear(8, 3))  # fmt: skip


def spectral() -> nn.Module:
    norm = torch.nn.utils.parametrizations.spectral_norm
    return nn.Sequential(norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 3))


def partly_frozen() -> nn.Module:
    model = plain()
    model[0].requires_grad_(False)
    model[1].eval()
    return model


MODELS = {"batch norm": plain, "spectral norm": spectral, "partly frozen": partly_frozen}


def state(model: nn.Module, optimizer: torch.optim.Optimizer):
    """Return all that must come back."""
    return (
        copy.deepcopy(model.state_dict()),
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [module.training for module in model.modules()],
        copy.deepcopy(optimizer.state_dict()),
        [torch.get_rng_state(), numpy.random.get_state(legacy=True)[1].tolist(), random.getstate()],
    )


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("begun", [False, True], ids=["fresh", "begun"])
def test_all_comes_back(name: str, begun: bool):
    torch.manual_seed(0)
    model = MODELS[name]()
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(wanted, lr=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)

    def train_step(model: nn.Module) -> None:
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(X + torch.rand(1) + random.random()), Y).backward()
        optimizer.step()
        schedule.step()

    def eval_step(model: nn.Module) -> None:
        model.eval()
        with torch.no_grad():
            model(X)

    if begun:
        train_step(model)
    before = state(model, optimizer)
    tensors = list(map(id, (*model.parameters(), *model.buffers())))
    pt.check(model, X, Y, loss_fn=F.cross_entropy, train_step=train_step, eval_step=eval_step)
    assert all(map(same, before, state(model, optimizer)))
    assert tensors == list(map(id, (*model.parameters(), *model.buffers())))


def test_what_a_step_raises_is_the_programs_and_all_comes_back():
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = state(model, optimizer)

    def train_step(model: nn.Module) -> None:
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
        raise KeyError("the program's own")

    with pytest.raises(KeyError, match="the program's own"):
        pt.check(model, X, Y, train_step=train_step)
    assert all(map(same, before, state(model, optimizer)))


def test_a_model_that_was_added_to_while_it_was_checked_is_whole_again():
    model = plain()

    def train_step(model: nn.Module) -> None:
        model[0].extra = nn.Linear(2, 2)
        model(X)

    pt.check(model, X, train_step=train_step)
    assert "extra" not in dict(model[0].named_children())


def test_a_model_alone_is_called_once_and_its_gradients_come_back():
    model = plain()
    before = state(model, torch.optim.SGD(model.parameters()))
    found = pt.check(model, X, Y, loss_fn=F.cross_entropy)
    assert [each for each in found if each.grave] == []
    assert all(map(same, before[:4], state(model, torch.optim.SGD(model.parameters()))[:4]))


def test_what_is_no_model_is_refused():
    with pytest.raises(PipetraceError, match=r"pt\.check\(model, inputs\)"):
        pt.check([1, 2, 3])
