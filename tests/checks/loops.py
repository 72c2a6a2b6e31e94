"""The loops that programs are checked in: an epoch of training, and an evaluation after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def rows(*shape: int, count: int = 48, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs whose mean tells their class, and the classes."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, classes, (count,), generator=generator)
    centers = torch.randn(classes, *shape, generator=generator)
    return centers[y] + torch.randn(count, *shape, generator=generator), y


def tokens(
    length: int = 6, count: int = 48, vocabulary: int = 12
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sequences of tokens, and the class of each."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, vocabulary, (count, length), generator=generator)
    return x, x.sum(1) % 3


def loop(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor] | None = None,
    *,
    loss: Callable[[Any, torch.Tensor], torch.Tensor] = F.cross_entropy,
    parameters: Iterable[nn.Parameter] | None = None,
    batch: int = 16,
    rate: float = 0.05,
    before_epoch: Callable[[nn.Module], Any] = lambda model: model.train(),
    before_step: Callable[[int], Any] = lambda step: None,
    predict: Callable[[nn.Module, torch.Tensor], Any] | None = None,
) -> dict[str, Any]:
    """Return a program: the last third of the rows is held out.

    Args:
        model: What is trained.
        data: Inputs and targets; rows of eight numbers of three classes where none are given.
        loss: Of an output and a target.
        parameters: What is trained of the model, if not all of it.
        batch: Rows of a batch.
        rate: The learning rate.
        before_epoch: What the loop does to the model before it trains.
        before_step: What it does before each step, which it is told the number of.
        predict: Evaluates the held-out rows, if not in eval mode without a gradient.
    """
    x, y = rows(8) if data is None else data
    cut = len(x) * 2 // 3
    trained = list(model.parameters() if parameters is None else parameters)
    optimizer = torch.optim.SGD(trained, lr=rate)

    def train_step(model: nn.Module) -> float:
        before_epoch(model)
        total = 0.0
        for step, start in enumerate(range(0, cut, batch)):
            before_step(step)
            optimizer.zero_grad()
            value = loss(model(x[start : start + batch]), y[start : start + batch])
            value.backward()
            optimizer.step()
            total += value.item()
        return total

    def eval_step(model: nn.Module) -> Any:
        if predict is not None:
            return predict(model, x[cut:])
        model.eval()
        with torch.no_grad():
            return loss(model(x[cut:]), y[cut:]).item()

    return {
        "model": model, "batch": (x[:batch],), "target": y[:batch], "loss_fn": loss,
        "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step,
    }  # fmt: skip


class Net(nn.Module):
    """Modules by name, and what the forward does with them.

    Args:
        run: The forward: is given the module and its inputs.
        modules: The modules.
    """

    def __init__(self, run: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = run

    def forward(self, *inputs: Any) -> Any:
        """Run it."""
        return self.run(self, *inputs)
