"""A small network, its rows, and the loop of batches around a step that a program gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

ROWS, SIZE, CLASSES, BATCH = 40, 6, 3, 4
Step = Callable[[int, Tensor, Tensor], Any]


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, SIZE, generator=generator)
    return x, torch.randint(0, CLASSES, (ROWS,), generator=generator)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, 12), nn.ReLU(), nn.Linear(12, CLASSES))


def sgd(model: nn.Module, rate: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate)


def loop(
    model: nn.Module, step: Step, *optimizers: torch.optim.Optimizer,
    after: Callable[[], Any] = lambda: None, before: Callable[[], Any] = lambda: None,
    evaluate: Callable[[nn.Module], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Build a program of what it does at a batch, before an epoch's first and after its last."""
    x, y = rows()

    def train_step(model: nn.Module) -> float:
        model.train()
        before()
        for i in range(ROWS // BATCH):
            batch = slice(i * BATCH, (i + 1) * BATCH)
            step(i, x[batch], y[batch])
        after()
        return 0.0

    def eval_step(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return F.cross_entropy(model(x[:8]), y[:8]).item()

    return {
        "model": model, "batch": (x[:BATCH],), "target": y[:BATCH], "loss_fn": F.cross_entropy,
        "optimizers": list(optimizers), "train_step": train_step,
        "eval_step": evaluate or eval_step,
    }  # fmt: skip


def plain(
    model: nn.Module, optimizer: torch.optim.Optimizer, then: Callable[[], Any] = lambda: None
) -> Step:  # fmt: skip
    """Return a right step, and what is done after each."""

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        then()

    return step


def clipped(
    order: str, clip: Callable[[list[nn.Parameter]], Any] = lambda p: clip_grad_norm_(p, 0.1)
) -> dict[str, Any]:  # fmt: skip
    """Build a program that does at every batch what the letters say: zero, backward, clip, step."""
    model = network()
    optimizer = sgd(model)
    parameters = list(model.parameters())

    def step(i: int, x: Tensor, y: Tensor) -> None:
        for letter in order:
            if letter == "z":
                optimizer.zero_grad()
            elif letter == "b":
                F.cross_entropy(model(x), y).backward()
            elif letter == "c":
                clip(parameters)
            else:
                optimizer.step()

    return loop(model, step, optimizer)
