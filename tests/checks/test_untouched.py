"""After a check a model, its optimizers and the random streams are as before, to the last bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import pipetrace as pt
from pipetrace.errors import PipetraceError

pytestmark = pytest.mark.filterwarnings("ignore")


class Adapted(nn.Module):
    """A frozen layer with a low-rank adapter that begins at zero."""

    def __init__(self):
        super().__init__()
        self.whole = nn.Linear(6, 6).requires_grad_(False)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)
        nn.init.zeros_(self.up.weight)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.whole(x) + self.up(F.dropout(self.down(x), 0.1, self.training))


def norm() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 6)
    )


def spectral() -> nn.Module:
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Linear(8, 6))


def old_spectral() -> nn.Module:
    return nn.Sequential(torch.nn.utils.spectral_norm(nn.Linear(6, 8)), nn.Linear(8, 6))


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    return model


def thawed() -> nn.Module:
    """Return a model of which one part is in the other mode."""
    model = norm()
    model[1].eval()
    return model


MODELS = {"norm": norm, "spectral": spectral, "old spectral": old_spectral, "adapter": Adapted,
          "tied": tied, "part in eval": thawed}  # fmt: skip


def state(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any]:
    """Return everything that has to come back."""
    return copy.deepcopy({
        "weights": dict(model.state_dict()),
        "gradients": {name: each.grad for name, each in model.named_parameters()},
        "wanted": {name: each.requires_grad for name, each in model.named_parameters()},
        "modes": {name: each.training for name, each in model.named_modules()},
        "optimizers": [each.state_dict() for each in optimizers],
        "streams": [torch.get_rng_state(), random.getstate(), np.random.get_state()],
        "hooks": [len(each._forward_hooks) for each in model.modules()],
        "calls": [vars(each).get("calls") for each in model.modules()],
    })  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return bool((one == other).all())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def loop(
    model: nn.Module, optimizers: list[torch.optim.Optimizer], scheduler: Any = None
) -> tuple[Callable[[nn.Module], float], Callable[[nn.Module], float]]:  # fmt: skip
    x, y = torch.randn(16, 6), torch.randn(16, 6)

    def train_step(model: nn.Module) -> float:
        model.train()
        for rows in (slice(0, 8), slice(8, 16)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = F.mse_loss(model(x[rows]), y[rows]) + random.random() * 0
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return float(loss)

    def eval_step(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return float(F.mse_loss(model(x), y))

    return train_step, eval_step


@pytest.mark.parametrize("begun", [False, True], ids=["fresh", "in training"])
@pytest.mark.parametrize("name", MODELS)
def test_all_comes_back(name: str, begun: bool):
    torch.manual_seed(1)
    model = MODELS[name]()
    wanted = [each for each in model.parameters() if each.requires_grad]
    optimizers = [torch.optim.AdamW(wanted[::2], lr=0.01),
                  torch.optim.SGD(wanted[1::2], lr=0.1, momentum=0.9)]  # fmt: skip
    train_step, eval_step = loop(model, optimizers)
    if begun:
        train_step(model)
    before = state(model, optimizers)
    parts = [id(each) for each in (*model.parameters(), *model.buffers())]
    pt.check(model, torch.ones(4, 6), train_step=train_step, eval_step=eval_step,
             optimizer=optimizers)  # fmt: skip
    after = state(model, optimizers)
    for key, value in before.items():
        assert same(value, after[key]), key
    assert parts == [id(each) for each in (*model.parameters(), *model.buffers())]


def test_training_goes_on_as_if_nothing_had_been_checked():
    """A scheduler's own count is the loop's, not the model's: it goes on from where it was left."""

    def trained(check: bool) -> tuple[dict[str, Any], int]:
        torch.manual_seed(1)
        random.seed(1)
        model = norm()
        optimizers = [torch.optim.Adam(model.parameters(), lr=0.01)]
        scheduler = torch.optim.lr_scheduler.StepLR(optimizers[0], 100)
        train_step, eval_step = loop(model, optimizers, scheduler)
        if check:
            pt.check(model, torch.ones(4, 6), train_step=train_step, eval_step=eval_step)
        for _ in range(2):
            train_step(model)
            eval_step(model)
        return state(model, optimizers), scheduler.last_epoch

    (alone, count), (checked, more) = trained(False), trained(True)
    assert same(alone["weights"], checked["weights"])
    assert same(alone["streams"], checked["streams"])
    assert more == count + 2


@pytest.mark.parametrize("kind", [nn.LazyLinear, nn.LazyBatchNorm1d])
def test_a_lazy_module_is_refused_until_it_has_weights(kind: type[nn.Module]):
    model = nn.Sequential(kind(6) if kind is nn.LazyLinear else kind(), nn.ReLU())
    with pytest.raises(PipetraceError, match=r"Call it once .* model\(inputs\)"):
        pt.check(model, torch.ones(2, 6))
    assert type(model[0]) is kind
    model(torch.ones(2, 6))
    before = state(model, [])
    pt.check(model, torch.ones(2, 6))
    assert same(before, state(model, []))


def test_an_average_that_only_the_steps_hold_moves_on():
    """What the functions hold is not put back, and the documentation says so."""
    model = nn.Linear(6, 6)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    train_step, _ = loop(model, [optimizer])

    def averaged(model: nn.Module) -> None:
        train_step(model)
        with torch.no_grad():
            for one, other in zip(average.parameters(), model.parameters(), strict=True):
                one.lerp_(other, 0.5)

    before = copy.deepcopy(dict(average.state_dict()))
    weights = copy.deepcopy(dict(model.state_dict()))
    pt.check(model, torch.ones(2, 6), train_step=averaged)
    assert same(weights, dict(model.state_dict()))
    assert not same(before, dict(average.state_dict()))


def test_what_a_step_raises_is_passed_on_and_all_comes_back():
    model = norm()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_step, _ = loop(model, [optimizer])

    def failing(model: nn.Module) -> None:
        train_step(model)
        raise ValueError("of its own")

    before = state(model, [optimizer])
    with pytest.raises(ValueError, match="of its own"):
        pt.check(model, torch.ones(2, 6), train_step=failing)
    assert same(before, state(model, [optimizer]))


def test_a_mapping_of_inputs_names_the_arguments():
    class Named(nn.Linear):
        def forward(self, *, x, drops):
            return super().forward(F.dropout(x, training=drops))

    inputs = {"x": torch.randn(4, 6), "drops": True}
    assert [each.id for each in pt.check(Named(6, 2), inputs)] == ["PTR101"]
