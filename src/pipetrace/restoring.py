"""A model, its optimizers and the random streams come back as they were before a check."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pipetrace.capture.guard import Snapshot, identical
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
    known: dict[int, _Optimizer] = {}

    def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if id(optimizer) not in known:
            known[id(optimizer)] = _Optimizer(optimizer)

    for optimizer in optimizers:
        keep(optimizer)
    hook = register_optimizer_step_pre_hook(keep)
    snapshot = Snapshot(model)
    try:
        with snapshot.kept(), eagerly():
            yield
    finally:
        hook.remove()
        parts: list[_Tensor | _Optimizer] = [*kept, *known.values()]
        with contextlib.ExitStack() as stack:
            # One that cannot be put back spares the others.
            for part in parts:
                stack.callback(part.put_back)


def _parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a model, those of modules that it has not registered too."""
    modules = (inside.module for inside in Snapshot(model).insides)
    found = (p for module in modules for p in module._parameters.values() if p is not None)
    return list({id(parameter): parameter for parameter in found}.values())


class _Tensor:
    """A parameter and its gradient at one moment."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self._parameter = parameter
        self._memory = parameter.data
        self._value = parameter.detach().clone()
        self._wanted = parameter.requires_grad
        self._gradient = parameter.grad
        self._slope = None if parameter.grad is None else parameter.grad.detach().clone()

    def put_back(self) -> None:
        parameter, gradient = self._parameter, self._gradient
        with torch.no_grad():
            if not _same_memory(parameter, self._memory):
                parameter.data = self._memory
            if not identical(parameter, self._value):
                parameter.copy_(self._value)
            if gradient is not None and self._slope is not None:
                gradient.copy_(self._slope)
        if parameter.grad is not gradient:
            parameter.grad = gradient
        if parameter.requires_grad != self._wanted:
            parameter.requires_grad_(self._wanted)


class _Optimizer:
    """The groups of an optimizer, with their settings, and its state at one moment."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._groups = [
            (group, {key: list(value) if key == "params" else copy.deepcopy(value)
                     for key, value in group.items()})
            for group in optimizer.param_groups
        ]  # fmt: skip
        self._state = {key: copy.deepcopy(value) for key, value in optimizer.state.items()}

    def put_back(self) -> None:
        # Not by `load_state_dict`: the program may hold a group, and may have added another one.
        for group, settings in self._groups:
            group.clear()
            group.update(settings)
        self._optimizer.param_groups[:] = [group for group, _ in self._groups]
        self._optimizer.state.clear()
        self._optimizer.state.update(self._state)


def _same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors are the same numbers in memory, and not equal ones only."""
    forms = [(each.dtype, each.device, each.layout, each.shape) for each in (one, other)]
    if forms[0] != forms[1] or one.layout is not torch.strided or one.is_meta:
        return forms[0] == forms[1]
    return one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
