"""What a root module consists of, as a record."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipetrace.capture.places import maker
from pipetrace.records import Model, ModulePart


def inventory(model: nn.Module, id: int) -> Model:
    """List a model's submodules with their own parameters, modes, and the lines that made them."""
    modules = list(model.named_modules())
    parameters = _distinct(module for _, module in modules)
    first = parameters[0] if parameters else None
    return Model(
        id=id,
        type=kind(model),
        parameters=sum(_count(p) for p in parameters),
        trainable=sum(_count(p) for p in parameters if p.requires_grad),
        device="" if first is None else str(first.device),
        modules=tuple(_part(path, module) for path, module in modules),
    )


def kind(module: nn.Module) -> str:
    """Return the name of a module's class; of a scripted module's, the class it was made from."""
    if isinstance(module, torch.jit.ScriptModule):
        return str(module.original_name)
    return type(module).__name__


def _detail(module: nn.Module) -> str:
    try:
        return str(module.extra_repr())[:200]
    except Exception:
        # The program's own code, which it may never have called itself.
        return ""


def _part(path: str, module: nn.Module) -> ModulePart:
    own = [p for p in module._parameters.values() if p is not None]
    leaf = not module._modules
    return ModulePart(
        path=path,
        type=kind(module),
        detail=_detail(module) if leaf else "",
        parameters=sum(_count(p) for p in own),
        trainable=sum(_count(p) for p in own if p.requires_grad),
        training=module.training,
        made=maker(module),
    )


def _distinct(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters of modules, each once."""
    found = (p for module in modules for p in module._parameters.values() if p is not None)
    return list({id(parameter): parameter for parameter in found}.values())


def _count(parameter: torch.Tensor) -> int:
    return 0 if is_lazy(parameter) else parameter.numel()
