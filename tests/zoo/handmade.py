"""Architectures written by hand: what people write that no library of models contains."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import rnn
from torch.utils.checkpoint import checkpoint

from zoo.architectures import Architecture

ALL: dict[str, Architecture] = {}


def architecture(
    name: str, *shapes: tuple[int, ...], inputs: Callable[[], tuple[Any, ...]] | None = None
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Register a maker of a model under a name; its inputs are random tensors of these shapes."""
    name = re.sub(r"[^\w-]+", "-", name)

    def register(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        def make(model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return tuple(torch.randn(shape) for shape in shapes) if inputs is None else inputs(), {}

        ALL[name] = Architecture(name, build, make)
        return build

    return register


class Forward(nn.Module):
    """Modules by name, and a function that uses them."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


for _kind in (nn.RNN, nn.GRU, nn.LSTM):
    for _name, _settings in {
        "one layer": {},
        "two layers with dropout": {"num_layers": 2, "dropout": 0.3},
        "bidirectional": {"bidirectional": True, "batch_first": True},
    }.items():
        architecture(f"{_kind.__name__} {_name}", (5, 3, 4))(
            lambda kind=_kind, settings=_settings: kind(4, 6, **settings)
        )


@architecture("LSTM packed", (3, 5, 4))
def packed() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        pack = rnn.pack_padded_sequence(x, torch.tensor([5, 3, 2]), batch_first=True)
        states, (hidden, _) = self.rnn(pack)
        return rnn.pad_packed_sequence(states, batch_first=True)[0], hidden

    return Forward(run, rnn=nn.LSTM(4, 6, 2, dropout=0.2, batch_first=True))


@architecture("LSTM cell in a loop", (3, 5, 4))
def cells() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        hidden, cell = x.new_zeros(3, 6), x.new_zeros(3, 6)
        for step in x.unbind(1):
            hidden, cell = self.cell(step, (hidden, cell))
        return hidden

    return Forward(run, cell=nn.LSTMCell(4, 6))


@architecture("U-Net", (2, 1, 16, 16))
def unet() -> nn.Module:
    def block(before: int, after: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after),
                             nn.ReLU(inplace=True), nn.Dropout2d(0.2))  # fmt: skip

    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        high = self.down(x)
        low = self.bottom(functional.max_pool2d(high, 2))
        return self.out(self.up(torch.cat([high, self.rise(low)], dim=1)))

    return Forward(run, down=block(1, 8), bottom=block(8, 16), up=block(16, 8),
                   rise=nn.ConvTranspose2d(16, 8, 2, stride=2), out=nn.Conv2d(8, 2, 1))  # fmt: skip


@architecture("GAN pair", (4, 8))
def gan() -> nn.Module:
    def run(self: Any, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fake = self.generator(noise)
        return self.critic(fake), self.critic(fake.detach())

    generator = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 12))
    critic = nn.Sequential(nn.Linear(12, 16), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.3),
                           nn.Linear(16, 1))  # fmt: skip
    return Forward(run, generator=generator, critic=critic)


@architecture("variational autoencoder", (4, 12))
def vae() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        gap = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return {"output": self.decoder(z), "divergence": gap}

    return Forward(run, encoder=nn.Linear(12, 8), decoder=nn.Linear(4, 12))


@architecture("VAE by distributions", (4, 12))
def distributed() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        mean, scale = self.encoder(x).chunk(2, dim=-1)
        posterior = torch.distributions.Normal(mean, functional.softplus(scale))
        prior = torch.distributions.Normal(torch.zeros(4), torch.ones(4))
        return (self.decoder(posterior.rsample()),
                torch.distributions.kl_divergence(posterior, prior))  # fmt: skip

    return Forward(run, encoder=nn.Linear(12, 8), decoder=nn.Linear(4, 12))


@architecture("mixture of experts", (6, 8))
def experts() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        weight, chosen = self.router(x).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slots = torch.where(chosen == number)
            if rows.numel():
                out.index_add_(0, rows, expert(x[rows]) * weight[rows, slots, None])
        return out

    return Forward(run, router=nn.Linear(8, 4),
                   experts=nn.ModuleList(nn.Linear(8, 8) for _ in range(4)))  # fmt: skip


class Graph(nn.Module):
    """Graph convolution by `index_add`; the edges are no buffer but an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)
        self.edges = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        source, target = self.edges
        messages = self.linear(x)[source]
        return torch.zeros(4, 6).index_add(0, target, messages).relu()


architecture("graph convolution", (4, 4))(Graph)


@architecture("loop that depends on data", (3, 4))
def loop() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        turns = 0
        while x.norm() < 50 and turns < 8:
            x = x + self.linear(x).abs()
            turns += 1
        return x * turns

    return Forward(run, linear=nn.Linear(4, 4))


@architecture("branch that depends on data", (3, 4))
def branch() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.yes(x) if x.sum().item() > 0 else self.no(x)

    return Forward(run, yes=nn.Linear(4, 4), no=nn.Linear(4, 4))


@architecture("tied weights", inputs=lambda: (torch.randint(0, 20, (2, 5)),))
def tied() -> nn.Module:
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 20))
    model[3].weight = model[0].weight
    return model


@architecture("hooks of the user's own", (3, 4))
def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    model[1].register_forward_hook(lambda module, args, output: output + args[0])
    model.register_forward_hook(lambda module, args, output: output.tanh(), always_call=True)
    model[2].register_full_backward_hook(lambda module, before, after: (before[0] * 0.5,))
    return model


@architecture("one module called three times", (3, 4))
def shared() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = self.block(x)
        return x

    return Forward(run, block=nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2), nn.Tanh()))


class Frozen(nn.Module):
    """A backbone that stays in eval mode, whatever `train` says."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.head = nn.Linear(6, 2)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))


architecture("frozen backbone", (5, 4))(Frozen)


@architecture("batch normalisation", (6, 3, 5, 5))
def normalised() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None),
                         nn.InstanceNorm2d(4, track_running_stats=True), nn.GroupNorm(2, 4),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4))  # fmt: skip


@architecture("in-place operations", (4, 6))
def in_place() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        y += 1
        y.mul_(2).clamp_(min=-3)
        z = y.clone()
        z[:, 0] = 0.0
        z[:, 1:3].add_(x[:, 1:3])
        z.masked_fill_(z > 4, -1.0)
        functional.relu(z, inplace=True)
        half = torch.empty(4, 6)
        torch.add(z, 1, out=half[:, :]) if not z.requires_grad else half.copy_(z)
        return torch.nn.init.zeros_(torch.ones(1)) + half

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("several outputs", (4, 6))
def several() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        values, indices = self.linear(x).sort(dim=-1)
        first, *rest = values.split([1, 2, 3], dim=-1)
        largest = torch.max(rest[0], dim=1)
        roots = torch.linalg.eigh(values @ values.mT + torch.diag(torch.arange(4.0)))
        return {"first": first, "rest": rest, "named": largest, "indices": indices,
                "roots": roots.eigenvalues}  # fmt: skip

    return Forward(run, linear=nn.Linear(6, 6))


@architecture("checkpointing", (4, 6))
def checkpointed() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.second, checkpoint(self.first, x, use_reentrant=False),
                          use_reentrant=True)  # fmt: skip

    def block() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), nn.GELU())

    return Forward(run, first=block(), second=block())


@architecture("complex numbers", (4, 8))
def spectral() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        waves = torch.fft.rfft(self.linear(x))
        turned = waves * torch.polar(torch.ones(5), torch.linspace(0, 3, 5))
        return turned.conj() + 1, torch.fft.irfft(turned, n=8), torch.view_as_real(turned)

    return Forward(run, linear=nn.Linear(8, 8))


@architecture("embedding with a largest norm", inputs=lambda: (torch.randint(0, 9, (3, 4)),))
def renewed() -> nn.Module:
    return nn.Sequential(nn.Embedding(9, 6, max_norm=0.5), nn.Flatten(), nn.Linear(24, 2))


@architecture("bag of embeddings", inputs=lambda: (torch.randint(0, 9, (3, 4)),))
def bag() -> nn.Module:
    return nn.Sequential(nn.EmbeddingBag(9, 6, mode="mean"), nn.Linear(6, 2))
