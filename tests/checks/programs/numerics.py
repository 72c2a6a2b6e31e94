"""Programs with numbers that are none or units that are dead, and look-alikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from making import Called, Program, classes, looped, mlp, plain, sequences, sliced, values
from torch import nn
from torch.nn import functional as F


def fires_ptr901_logarithm_of_nothing() -> Program:
    def logs(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(torch.log(model.body(x).relu()))

    torch.manual_seed(0)
    return plain(Called(logs, body=nn.Linear(8, 8), out=nn.Linear(8, 4)), nn.CrossEntropyLoss(),
                 classes())  # fmt: skip


def fires_ptr901_deviation_of_one_step() -> Program:
    def spread(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(x.std(1))

    torch.manual_seed(0)
    return plain(Called(spread, out=nn.Linear(8, 3)), nn.CrossEntropyLoss(), sequences(steps=1))


def fires_ptr901_divided_by_a_count() -> Program:
    def mean(model: Any, x: torch.Tensor) -> torch.Tensor:
        there = (x > 1.5).float()
        return model.out((x * there).sum(1, keepdim=True) / there.sum(1, keepdim=True))

    torch.manual_seed(0)
    return plain(Called(mean, out=nn.Linear(1, 1)), nn.MSELoss(), values())


def silent_ptr901_masked_softmax() -> Program:
    def attended(model: Any, x: torch.Tensor) -> torch.Tensor:
        scores = x @ x.transpose(1, 2)
        mask = torch.ones(scores.shape[-2:]).triu(1).bool()
        weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
        return model.out((weights @ x).mean(1))

    torch.manual_seed(0)
    return plain(Called(attended, out=nn.Linear(8, 3)), nn.CrossEntropyLoss(), sequences())


def silent_ptr901_replaced_at_once() -> Program:
    def safe(model: Any, x: torch.Tensor) -> torch.Tensor:
        there = (x > 1.5).float()
        mean = (x * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
        return model.out(torch.nan_to_num(mean))

    torch.manual_seed(0)
    return plain(Called(safe, out=nn.Linear(1, 1)), nn.MSELoss(), values())


def silent_ptr901_logarithm_of_a_sum() -> Program:
    def logs(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(torch.log1p(model.body(x).relu()))

    torch.manual_seed(0)
    return plain(Called(logs, body=nn.Linear(8, 8), out=nn.Linear(8, 4)), nn.CrossEntropyLoss(),
                 classes())  # fmt: skip


def half(forward: Callable[[torch.Tensor], torch.Tensor], dtype: Any = torch.float16) -> Program:
    """Return a model that computes between its layers in half precision."""
    torch.manual_seed(0)
    model = Called(lambda model, x: model.out(forward(model.body(x).to(dtype)).float()),
                   body=nn.Linear(8, 8), out=nn.Linear(8, 4))  # fmt: skip
    return plain(model, nn.CrossEntropyLoss(), classes())


def fires_ptr902_a_square() -> Program:
    return half(lambda h: (h * 500) ** 2 / 60000)


def fires_ptr902_an_exponential() -> Program:
    return half(lambda h: torch.exp(h * 12) / torch.exp(h * 12).sum(1, keepdim=True))


def fires_ptr902_a_norm() -> Program:
    return half(lambda h: (h * 400).pow(2).sum(1, keepdim=True).sqrt() - h)


def silent_ptr902_smaller_first() -> Program:
    return half(lambda h: (h / 20) ** 2)


def silent_ptr902_softmax() -> Program:
    return half(lambda h: (h * 50).softmax(-1))


def silent_ptr902_wide_exponents() -> Program:
    return half(lambda h: (h * 500) ** 2 / 60000, torch.bfloat16)


def biased(layer: Any, activation: nn.Module) -> nn.Sequential:
    """Return a model whose second layer is far off on one side."""
    torch.manual_seed(0)
    hidden = layer(8, 12)
    with torch.no_grad():
        hidden.bias -= 50
    return nn.Sequential(nn.Linear(8, 8), hidden, activation, nn.Linear(12, 4))


def fires_ptr903_a_bias_far_below() -> Program:
    return plain(biased(nn.Linear, nn.ReLU()), nn.CrossEntropyLoss(), classes())


def fires_ptr903_a_rate_far_too_high() -> Program:
    x, y = values()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    batches = sliced(x.abs() * 9, -y.abs() - 40)
    return looped(model, nn.MSELoss(), batches, batches, rate=3.0)


def fires_ptr903_channels() -> Program:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 6, 3)
    with torch.no_grad():
        first.bias -= 40
    model = nn.Sequential(first, nn.ReLU6(), nn.Flatten(), nn.Linear(96, 3))
    return plain(model, nn.CrossEntropyLoss(), (torch.randn(48, 1, 6, 6), torch.arange(48) % 3))


def silent_ptr903_a_leak() -> Program:
    return plain(biased(nn.Linear, nn.LeakyReLU()), nn.CrossEntropyLoss(), classes())


def silent_ptr903_a_margin_that_holds() -> Program:
    def forward(model: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = model.body(x)
        return model.out(h), F.relu(h.pow(2) - 1e4)

    def loss(outputs: tuple[torch.Tensor, torch.Tensor], y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs[0], y) + outputs[1].mean()

    torch.manual_seed(0)
    model = Called(forward, body=nn.Linear(8, 8), out=nn.Linear(8, 4))
    made = plain(mlp(), nn.CrossEntropyLoss(), classes())
    x, y = classes()
    optimizer = torch.optim.Adam(model.parameters())

    def train_step(model: nn.Module) -> None:
        model.train()
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return {"model": model, "batch": made["batch"], "target": made["target"], "loss_fn": loss,
            "optimizer": optimizer, "train_step": train_step}  # fmt: skip


def silent_ptr903_some_units() -> Program:
    torch.manual_seed(0)
    hidden = nn.Linear(8, 12)
    with torch.no_grad():
        hidden.bias[:5] -= 50
    model = nn.Sequential(hidden, nn.ReLU(), nn.Linear(12, 4))
    return plain(model, nn.CrossEntropyLoss(), classes())


def fires_ptr904_raw_inputs() -> Program:
    x, y = classes()
    return plain(mlp(), nn.CrossEntropyLoss(), (x * 900 + 4000, y))


def fires_ptr904_sigmoids_of_amounts() -> Program:
    x, y = values()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Sigmoid(), nn.Linear(16, 1))
    return plain(model, nn.MSELoss(), (x * 5e3 + 3e4, y))


def fires_ptr904_large_weights() -> Program:
    model = mlp()
    with torch.no_grad():
        for parameter in model[0].parameters():
            parameter *= 5000
    return plain(model, nn.CrossEntropyLoss(), classes())


def silent_ptr904_standardised() -> Program:
    x, y = classes()
    return plain(mlp(), nn.CrossEntropyLoss(), ((x - x.mean(0)) / x.std(0), y))


def silent_ptr904_a_sure_output() -> Program:
    model = mlp(6, 1, nn.Sigmoid())
    with torch.no_grad():
        model[2].weight *= 4000
    x, _ = values()
    return plain(model, nn.BCELoss(), (x, (model(x) > 0.5).float()))


def silent_ptr904_a_gate_of_the_inputs() -> Program:
    def gated(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.body(x) * torch.sigmoid(x * 1e4))

    torch.manual_seed(0)
    return plain(Called(gated, body=nn.Linear(8, 8), out=nn.Linear(8, 4)), nn.CrossEntropyLoss(),
                 classes())  # fmt: skip


def fires_ptr905_a_rate_without_end() -> Program:
    x, y = values()
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=9.0)

    def train_step(model: nn.Module) -> None:
        for _ in range(12):
            optimizer.zero_grad()
            F.mse_loss(model(x * 9), y * 9).backward()
            optimizer.step()

    return {"model": model, "batch": (x,), "target": y, "optimizer": optimizer,
            "train_step": train_step}  # fmt: skip


def fires_ptr905_logarithm_in_the_loss() -> Program:
    def loss(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -(y * torch.log(p.clamp(0, 1)) + (1 - y) * torch.log(1 - p.clamp(0, 1))).mean()

    x, y = values()
    return plain(mlp(6, 1), loss, (x, (y > 0).float()))


def fires_ptr905_a_root_of_nothing() -> Program:
    def loss(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.sqrt((p - y).mean())

    x, y = values()
    return plain(mlp(6, 1), loss, (x, y + 30))


def silent_ptr905_finite() -> Program:
    return plain(mlp(6, 1), lambda p, y: torch.sqrt(((p - y) ** 2).mean() + 1e-8), values())


def silent_ptr905_steps_left_out() -> Program:
    x, y = values()
    model = mlp(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def train_step(model: nn.Module) -> None:
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y) * factor
            loss.backward()
            if torch.isfinite(loss):
                optimizer.step()

    return {"model": model, "batch": (x,), "target": y, "optimizer": optimizer,
            "train_step": train_step}  # fmt: skip


def silent_ptr905_batches_left_out() -> Program:
    x, y = values()
    model = mlp(6, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def train_step(model: nn.Module) -> None:
        for scale in (1.0, float("nan"), 1.0):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y * scale)
            if loss.isfinite():
                loss.backward()
                optimizer.step()

    return {"model": model, "batch": (x,), "target": y, "optimizer": optimizer,
            "train_step": train_step}  # fmt: skip


def fires_ptr905_a_row_of_nan() -> Program:
    x, y = classes()
    x = x.index_fill(0, torch.tensor([3]), float("nan"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3),
                          nn.Linear(16, 4))  # fmt: skip
    return plain(model, nn.CrossEntropyLoss(), (x, y))


def fires_ptr905_passed_on_by_ops_in_place() -> Program:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Linear(16, 1))
    return looped(model, nn.MSELoss(), sliced(*values()), sliced(*values()), rate=1e30)


def fires_ptr903_second_of_two_in_one_forward() -> Program:
    def twice(model: Any, x: torch.Tensor) -> torch.Tensor:
        hidden = model.norm(model.first(x)).relu()
        return model.out(model.second(hidden).relu())

    torch.manual_seed(0)
    layers = {"first": nn.Linear(8, 8), "norm": nn.BatchNorm1d(8), "second": nn.Linear(8, 8)}
    with torch.no_grad():
        layers["second"].bias -= 50
    return plain(Called(twice, **layers, out=nn.Linear(8, 4)), nn.CrossEntropyLoss(), classes())
