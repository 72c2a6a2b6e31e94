"""One run of training inside a program: its model, optimizers, loss, and numbers by step."""

from __future__ import annotations

import weakref

import torch
from torch import nn

from pipetrace.records import Argument
from pipetrace.tracefile import Writer
from pipetrace.training.probe import Fixed
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.tallies import read

_SETTINGS = ("lr", "momentum", "weight_decay", "betas")


class Strand:
    """What is known of a run of training while it goes on."""

    def __init__(self, id: int, model_id: int, model: nn.Module | None) -> None:
        self.id = id
        self.model_id = model_id
        self.model = model
        self.optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self.ends: list[int] = []
        """Steps of the whole program at which its epochs ended."""
        self.call: LossCall | None = None
        self.pairing: Pairing | None = None
        self.fixed: Fixed | None = None
        self.probed = (0, 0)
        """Epoch and step of the last probe."""
        self.evaluations = 0
        self._results: list[torch.Tensor] = []
        self._parts: list[torch.Tensor] = []
        self._losses: list[torch.Tensor] = []
        self._rates: list[float] = []

    @property
    def epochs(self) -> int:
        """How many epochs are completed."""
        return len(self.ends)

    def owns(self, optimizer: torch.optim.Optimizer) -> bool:
        """Tell whether an optimizer has stepped in this run."""
        return any(ref() is optimizer for ref in self.optimizers)

    def step(self, optimizer: torch.optim.Optimizer, losses: list[torch.Tensor]) -> None:
        """Keep a step's loss, the mean of its backwards, and the first group's learning rate."""
        if losses:
            self._losses.append(losses[0] if len(losses) == 1 else torch.stack(losses).mean())
        rate = optimizer.param_groups[0]["lr"]
        self._rates.append(rate if type(rate) is float else float(rate))

    def write(self, writer: Writer) -> None:
        """Hand the series over, with one transfer from the device."""
        losses, rates, self._losses, self._rates = self._losses, self._rates, [], []
        writer.scalars(f"loss/{self.id}", read(losses))
        writer.scalars(f"rate/{self.id}", rates)

    def waiting(self) -> int:
        """Return how many steps were not handed over yet."""
        return len(self._rates)

    def rates(self) -> tuple[float, ...]:
        """Return the learning rate of every parameter group now."""
        alive = [optimizer for ref in self.optimizers if (optimizer := ref()) is not None]
        return tuple(float(group["lr"]) for o in alive for group in o.param_groups)

    def gradient_norm(self) -> float | None:
        """Return the L2 norm of all gradients that are there now; None where there are none."""
        parameters = [] if self.model is None else self.model.parameters()
        grads = [p.grad for p in parameters if p.grad is not None]
        if not grads or any(grad.layout != torch.strided for grad in grads):
            return None
        norms = [norm.to(grads[0].device, torch.float32) for norm in torch._foreach_norm(grads)]
        return float(torch.linalg.vector_norm(torch.stack(norms)))


def settings(optimizer: torch.optim.Optimizer) -> tuple[Argument, ...]:
    """Return an optimizer's learning rate and what else a person sets, where it is not zero."""
    group = optimizer.param_groups[0]
    return tuple(
        Argument(name=name, value=str(group[name])) for name in _SETTINGS if group.get(name)
    )
