"""What programs to be checked are built of: data, batches, small models, and the plain loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[torch.Tensor, torch.Tensor]
Batches = Callable[[], Iterator[Rows]]
Program = dict[str, Any]


def classes(rows: int = 64, features: int = 8, count: int = 4, seed: int = 0) -> Rows:
    """Return rows around one centre for each class, and their classes."""
    source = torch.Generator().manual_seed(seed)
    centres = torch.randn(count, features, generator=source) * 1.5
    y = torch.randint(0, count, (rows,), generator=source)
    return centres[y] + torch.randn(rows, features, generator=source), y


def sequences(rows: int = 48, steps: int = 5, features: int = 8) -> Rows:
    """Return sequences whose mean tells their class, one of three."""
    x, y = classes(rows, features, 3)
    source = torch.Generator().manual_seed(1)
    return x[:, None] + torch.randn(rows, steps, features, generator=source), y


def values(rows: int = 64, features: int = 6) -> Rows:
    """Return rows and one number for each, (N, 1)."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(rows, features, generator=source)
    noise = torch.randn(rows, 1, generator=source)
    return x, x @ torch.randn(features, 1, generator=source) + 0.1 * noise


def sliced(x: torch.Tensor, y: torch.Tensor, size: int = 16) -> Batches:
    """Return what gives slices in their order, epoch by epoch."""
    return lambda: ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))


def loaded(x: torch.Tensor, y: torch.Tensor, size: int = 16) -> Batches:
    """Return what gives batches of a loader that shuffles."""
    loader = DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True)
    return lambda: iter(loader)


def looped(
    model: nn.Module, loss_fn: Callable[..., torch.Tensor], train: Batches, held: Batches,
    call: Callable[[nn.Module, torch.Tensor], Any] = lambda model, x: model(x),
    rate: float = 1e-2,
) -> Program:  # fmt: skip
    """Return the plain loop: train over batches, then evaluate with a weighted mean."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)

    def train_step(model: nn.Module) -> float:
        model.train()
        total = rows = 0.0
        for x, y in train():
            optimizer.zero_grad()
            loss = loss_fn(call(model, x), y)
            loss.backward()
            optimizer.step()
            total, rows = total + loss.item() * len(x), rows + len(x)
        return total / rows

    @torch.no_grad()
    def eval_step(model: nn.Module) -> float:
        model.eval()
        total = rows = 0.0
        for x, y in held():
            total, rows = total + loss_fn(call(model, x), y).item() * len(x), rows + len(x)
        return total / rows

    x, y = next(train())
    return {"model": model, "batch": (x,), "target": y, "loss_fn": loss_fn,
            "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step}  # fmt: skip


def mlp(features: int = 8, outputs: int = 4, *last: nn.Module) -> nn.Sequential:
    """Return two layers, and what comes after them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 24), nn.Tanh(), nn.Linear(24, outputs), *last)


def plain(model: nn.Module, loss_fn: Callable[..., torch.Tensor], data: Rows) -> Program:
    """Return the plain loop over slices of data, the last 16 rows of which are held out."""
    x, y = data
    return looped(model, loss_fn, sliced(x[:-16], y[:-16]), sliced(x[-16:], y[-16:]))


class Called(nn.Module):
    """A model with a forward that is a function of its layers."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs: Any) -> Any:
        """Compute it."""
        return self.function(self, *inputs)
