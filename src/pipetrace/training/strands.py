"""One run of training inside a program: its model, optimizers, loss, and numbers by step."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn

from pipetrace.records import Argument
from pipetrace.tracefile import Writer
from pipetrace.training.probe import Fixed
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.tallies import read

_ALWAYS = 10
_STEPS_PER_PROBE = 200
"""After the first epochs, a probe for at least so many steps keeps its cost unnoticed."""
_SETTINGS = ("lr", "momentum", "weight_decay", "betas")


class Strand:
    """What is known of a run of training while it goes on."""

    def __init__(self, id: int, model_id: int, model: nn.Module | None) -> None:
        self.id = id
        self.model_id = model_id
        self.model = model
        self.by_hand = False
        """Parameters are changed without an optimizer."""
        self.optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self.ends: list[int] = []
        """Steps of the whole program at which its epochs ended."""
        self.call: LossCall | None = None
        self.pairing: Pairing | None = None
        self.fixed: Fixed | None = None
        self.probed = (0, 0)
        """Epoch and step of the last probe."""
        self.evaluations = 0
        self._sum, self._count = 0.0, 0
        self._losses: list[torch.Tensor] = []
        self._rates: list[float] = []

    @property
    def epochs(self) -> int:
        """How many epochs are completed."""
        return len(self.ends)

    def owns(self, optimizer: torch.optim.Optimizer | None) -> bool:
        """Tell whether an optimizer (None: a hand) has stepped in this run."""
        if optimizer is None:
            return self.by_hand
        return any(ref() is optimizer for ref in self.optimizers)

    def join(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Let an optimizer, or a hand, belong to this run."""
        if optimizer is None:
            self.by_hand = True
        else:
            self.optimizers.append(weakref.ref(optimizer))

    def step(self, rate: Any, losses: list[torch.Tensor]) -> None:
        """Keep a step's loss, the mean of its backwards, and the first group's learning rate."""
        if losses:
            self._losses.append(losses[0] if len(losses) == 1 else torch.stack(losses).mean())
        if rate is not None:
            self._rates.append(rate if type(rate) is float else float(rate))

    def write(self, writer: Writer) -> None:
        """Hand the series over, with one transfer from the device."""
        losses, rates, self._losses, self._rates = read(self._losses), self._rates, [], []
        self._sum += sum(losses)
        self._count += len(losses)
        writer.scalars(f"loss/{self.id}", losses)
        writer.scalars(f"rate/{self.id}", rates)

    def waiting(self) -> int:
        """Return how many steps were not handed over yet."""
        return len(self._losses)

    def mean_loss(self) -> float | None:
        """Return the mean of the steps' losses since the last call; None where there were none."""
        mean = self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        return mean

    def rates(self) -> tuple[float, ...]:
        """Return the learning rate of every parameter group now."""
        return tuple(float(group["lr"]) for group in self._groups())

    def decays(self) -> tuple[float, ...]:
        """Return the weight decay of every parameter group now, 0 where there is none."""
        return tuple(float(group.get("weight_decay", 0.0)) for group in self._groups())

    def due(self, steps: int, more: int = 0) -> bool:
        """Tell whether to look closely at the epoch that ends after so many steps.

        Args:
            steps: Optimizer steps of the whole program at its end.
            more: Epochs that end until then.
        """
        return self.epochs + more <= _ALWAYS or steps - self.probed[1] >= _STEPS_PER_PROBE

    def turns(self) -> int:
        """Return how many optimizers take turns."""
        return sum(ref() is not None for ref in self.optimizers)

    def _groups(self) -> list[dict[str, Any]]:
        alive = [optimizer for ref in self.optimizers if (optimizer := ref()) is not None]
        return [group for optimizer in alive for group in optimizer.param_groups]


class ByHand:
    """Notices parameters that change between a backward and the next forward by no optimizer."""

    def __init__(self) -> None:
        self.waiting = False
        """A backward has run since the last step."""
        self._sums: list[float] | None = None
        self._known = False

    def backward(self, model: nn.Module | None) -> None:
        """A backward is about to run through a model."""
        if model is not None and not self.waiting:
            self.waiting = True
            self._sums = None if self._known else _sums(model)

    def changed(self, model: nn.Module) -> bool:
        """Tell at the next forward whether somebody has changed the parameters."""
        self.waiting = False
        self._known = self._known or self._sums != _sums(model)
        return self._known


def _sums(model: nn.Module) -> list[float]:
    with torch.no_grad():
        return [float(p.detach().sum()) for p in model.parameters()]


def settings(optimizer: torch.optim.Optimizer) -> tuple[Argument, ...]:
    """Return an optimizer's learning rate and what else a person sets, where it is not zero."""
    group = optimizer.param_groups[0]
    return tuple(
        Argument(name=name, value=str(group[name])) for name in _SETTINGS if group.get(name)
    )
