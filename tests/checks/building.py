"""Small models and the loop that trains them, for programs about what is wired and what moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS, SIZE, HIDDEN, CLASSES = 24, 8, 16, 3
Loss = Callable[[Tensor, Tensor], Tensor]


def rows(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, *(shape or (SIZE,)), generator=generator)
    return x, torch.randint(0, CLASSES, (ROWS,), generator=generator)


def body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))


def loop(
    model: nn.Module, *optimizers: torch.optim.Optimizer, x: Tensor | None = None,
    y: Tensor | None = None, loss: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    batch: int = 8,
) -> dict[str, Any]:  # fmt: skip
    """Build a program that trains a model with all of its optimizers."""
    given, targets = rows()
    x, y = given if x is None else x, targets if y is None else y

    def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y) if loss is None else loss(model, x, y)

    def train_step(model: nn.Module) -> float:
        model.train()
        total = 0.0
        for start in range(0, len(x), batch):
            for optimizer in optimizers:
                optimizer.zero_grad()
            value = loss_of(model, x[start : start + batch], y[start : start + batch])
            value.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += value.item()
        return total

    def eval_step(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return float(loss_of(model, x[:batch], y[:batch]))

    return {
        "model": model, "batch": (x[:batch],), "target": y[:batch], "loss_fn": F.cross_entropy,
        "optimizers": list(optimizers), "train_step": train_step, "eval_step": eval_step,
    }  # fmt: skip


def adam(*models: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for model in models for p in model.parameters()], lr=1e-2)


class Piped(nn.Module):
    """A body and a head, with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor], inside: nn.Module | None = None):
        super().__init__()
        self.body = body() if inside is None else inside
        self.head = nn.Linear(HIDDEN, CLASSES)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.body(x)))
