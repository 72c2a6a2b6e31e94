"""What goes on beside the ops: late hooks, caches, parametrisations, NumPy, scripts, constants."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from zoo.handmade import Forward, architecture


class Late(nn.Module):
    """Registers its hooks in its first forward, and remembers that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        self.kept: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not hasattr(self, "hooked"):
            for layer in self.layers:
                layer.register_forward_hook(lambda *called: self.kept.append(called[2]))
            self.hooked = True
        self.kept.clear()
        return self.layers(x), *self.kept


architecture("hooks that the first forward registers", (3, 4))(Late)


@lru_cache(maxsize=8)
def table(length: int) -> torch.Tensor:
    """Return positions, the same tensor in every forward."""
    return torch.linspace(-1, 1, length)


@architecture("table from a cache", (3, 4))
def cached() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + table(4)

    return Forward(run, linear=nn.Linear(4, 4))


@architecture("weight norm, parametrised", (3, 4))
def weighted() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(),
                         parametrizations.orthogonal(nn.Linear(5, 5)))  # fmt: skip


@architecture("spectral norm, parametrised", (3, 4))
def spectrally() -> nn.Module:
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 5)), nn.ReLU(),
                         parametrizations.spectral_norm(nn.Linear(5, 3)))  # fmt: skip


@architecture("weight and spectral norm, by hooks", (3, 4))
def by_hooks() -> nn.Module:
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.ReLU(),
                         nn.utils.spectral_norm(nn.Linear(5, 3)))  # fmt: skip


class Straight(torch.autograd.Function):
    """Rounds forward, and lets the gradient through."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(scale)
        return (x * scale).round() / scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return gradients[0], (gradients[0] * ctx.saved_tensors[0]).sum().reshape(1)


@architecture("a custom autograd function", (3, 4))
def custom() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return Straight.apply(self.linear(x), self.scale)

    model = Forward(run, linear=nn.Linear(4, 4))
    model.scale = nn.Parameter(torch.tensor([8.0]))
    return model


@architecture("random numbers of NumPy and Python", (4, 6))
def elsewhere() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        if self.training:
            y = y * torch.tensor(np.random.rand(4, 1), dtype=torch.float32)
            y = y + random.random()
        return y

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("round trip through NumPy", (4, 6))
def round_trip() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        sorted_rows = np.sort(x.numpy(), axis=1)
        return self.linear(torch.from_numpy(sorted_rows))

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("constants of the module", (4, 6))
def constants() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.scales["first"] + self.shifts[1] + self.plain

    model = Forward(run, linear=nn.Linear(6, 6))
    model.plain = torch.ones(6)
    model.scales = {"first": torch.full((6,), 2.0)}
    model.shifts = [torch.zeros(6), torch.ones(6)]
    return model


@architecture("numbers of a low precision", (4, 6))
def low() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.second(functional.dropout(self.first(x), 0.3, self.training)).float()

    return Forward(run, first=nn.Linear(6, 6), second=nn.Linear(6, 3))


@architecture("mapped over a batch", (4, 6))
def mapped() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.vmap(lambda row: (self.linear(row) ** 2).sum())(x)

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("not a number", (4, 6))
def undefined() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).log() / 0.0

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("sparse adjacency", (4, 4))
def sparse() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(self.adjacency, self.linear(x)).relu()

    model = Forward(run, linear=nn.Linear(4, 6))
    places = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    weights = torch.tensor([1.0, 0.5, 0.25, 2.0])
    model.register_buffer("adjacency", torch.sparse_coo_tensor(places, weights, (4, 4)).coalesce())
    return model


def gate(x: torch.Tensor) -> torch.Tensor:
    """Return the sigmoid form of GELU, as a script compiles it."""
    return x * torch.sigmoid(1.702 * x)


@architecture("scripted function", (4, 6))
def scripted() -> nn.Module:
    compiled = torch.jit.script(gate)

    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.second(compiled(self.first(x)))

    return Forward(run, first=nn.Linear(6, 6), second=nn.Linear(6, 3))


@architecture("scripted module", (4, 6))
def partly_scripted() -> nn.Module:
    inner = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.ReLU()))
    return nn.Sequential(nn.Linear(6, 6), inner, nn.Linear(6, 3))
