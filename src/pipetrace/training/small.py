"""The weights of a small model are kept as they were in the forward that was captured."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.records import Fact, Op, Weights
from pipetrace.training.layers import foreign, sharded, strange

NUMBERS = 6_000
"""Models of more parameters are not drawn weight by weight."""


def weights(model: nn.Module, root: int, facts: list[Fact]) -> list[Weights]:
    """Return all numbers of every parameter of a small model of linear layers, else nothing.

    Args:
        model: The user's own module, right after the forward and before its step.
        root: The root's id.
        facts: Of the captured forward: its ops tell what takes the parameters.
    """
    takes = {
        fact.function
        for fact in facts
        if isinstance(fact, Op) and any(link.source == "parameter" for link in fact.inputs)
    }
    if takes != {"linear"} or sharded(model):
        return []
    named = list(model.named_parameters())
    if sum(p.numel() for _, p in named) > NUMBERS:
        return []
    if any(strange(p) or foreign(p) or p.is_complex() for _, p in named):
        return []
    with torch.no_grad(), torch._C.DisableTorchFunction():
        return [
            Weights(
                model=root, path=path, shape=tuple(parameter.shape),
                values=tuple(parameter.detach().cpu().double().reshape(-1).tolist()),
            )
            for path, parameter in named
        ]  # fmt: skip
