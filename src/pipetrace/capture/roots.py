"""Which module stands for a model, and whether a forward of it can be played again."""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's own module behind torch.compile and data-parallel wrappers.

    A wrapper would compile another graph, or wait for the other processes.
    """
    parallel = nn.parallel.DistributedDataParallel, nn.DataParallel
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif compiler is not None and isinstance(model, compiler.OptimizedModule):
            model = model._orig_mod
        else:
            return model


def shared() -> bool:
    """Tell whether other processes take part: a forward of ours alone could wait for them."""
    parallel = torch.distributed
    return parallel.is_available() and parallel.is_initialized() and parallel.get_world_size() > 1


def spread(model: nn.Module) -> str:
    """Return why a forward needs the other processes whatever its modes; empty where it does not.

    Of a model that is spread no process has all parameters: even their sum is a collective.
    """
    if not shared():
        return ""
    # Who spreads a model has imported what spreads it.
    sharding = sys.modules.get("torch.distributed.fsdp")
    tensors = sys.modules.get("torch.distributed.tensor")
    if tensors is not None and any(isinstance(p, tensors.DTensor) for p in model.parameters()):
        return "its parameters are sharded over the processes"
    for module in model.modules():
        if sharding is not None and isinstance(module, sharding.FullyShardedDataParallel):
            return "its parameters are sharded over the processes"
        if module is not model and isinstance(module, nn.parallel.DistributedDataParallel):
            return "a part of it waits for the other processes"
    return ""


def opaque(model: nn.Module) -> str:
    """Return why a forward cannot be replayed here op by op; empty where it can."""
    if isinstance(model, torch.jit.ScriptModule):
        return "the module is compiled by TorchScript"
    why = spread(model)
    if why:
        return why
    if any(
        is_lazy(tensor)
        for module in model.modules()
        for tensors in (module._parameters, module._buffers)
        for tensor in tensors.values()
        if tensor is not None
    ):
        return "the module is lazy: it has no parameters before its first forward"
    return ""
