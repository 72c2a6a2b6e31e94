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


def opaque(model: nn.Module) -> str:
    """Return why a forward cannot be replayed here op by op; empty where it can."""
    if isinstance(model, torch.jit.ScriptModule):
        return "the module is compiled by TorchScript"
    if shared():
        return "a replay would wait for the other processes"
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        return "the module is lazy: it has no parameters before its first forward"
    return ""
