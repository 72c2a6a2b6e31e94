"""A model, its optimizers and the random streams come back as they were before a check."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pipetrace.capture.guard import Snapshot
from pipetrace.capture.quiet import eagerly


@contextlib.contextmanager
def restored(
    model: nn.Module, optimizers: Iterable[torch.optim.Optimizer] = ()
) -> Iterator[None]:  # fmt: skip
    """Run what follows on the model itself, and put everything back.

    Parameters, gradients, which of them want one, buffers, modes, attributes and hooks of the
    model, the random streams, and the state and settings of every optimizer that is given or
    takes a step inside. What else the program's own functions hold, a scheduler's count or a list
    of losses, stays as they left it.
    """
    kept = [_Tensor(parameter) for parameter in _parameters(model)]
    states: dict[int, tuple[torch.optim.Optimizer, dict[str, Any]]] = {}

    def keep(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if id(optimizer) not in states:
            states[id(optimizer)] = optimizer, copy.deepcopy(optimizer.state_dict())

    for optimizer in optimizers:
        keep(optimizer)
    hook = register_optimizer_step_pre_hook(keep)
    snapshot = Snapshot(model)
    try:
        with snapshot.kept(), eagerly():
            yield
    finally:
        hook.remove()
        for tensor in kept:
            tensor.put_back()
        for optimizer, state in states.values():
            optimizer.load_state_dict(state)


def _parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a model, those of modules that it has not registered too."""
    modules = (inside.module for inside in Snapshot(model).insides)
    found = (p for module in modules for p in module._parameters.values() if p is not None)
    return list({id(parameter): parameter for parameter in found}.values())


class _Tensor:
    """A parameter and its gradient at one moment."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self._parameter = parameter
        self._value = parameter.detach().clone()
        self._wanted = parameter.requires_grad
        self._gradient = parameter.grad
        self._slope = None if parameter.grad is None else parameter.grad.detach().clone()

    def put_back(self) -> None:
        parameter, gradient = self._parameter, self._gradient
        with torch.no_grad():
            if not torch.equal(parameter, self._value):
                parameter.copy_(self._value)
            if gradient is not None and self._slope is not None:
                gradient.copy_(self._slope)
        parameter.grad = gradient
        parameter.requires_grad_(self._wanted)
