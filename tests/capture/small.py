"""A module that runs whatever function a test gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Small(nn.Module):
    """Runs a function of itself and its inputs; parts are modules, tensors or whatever it needs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def with_numbers(function: Callable[..., Any]) -> Small:
    """Return a function as a module, with a buffer `keep` and a parameter `weight` to use."""
    small = Small(function, weight=nn.Parameter(torch.rand(3, 5) + 1))
    small.register_buffer("keep", torch.tensor(0.7))
    return small
