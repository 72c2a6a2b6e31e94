"""Tensors that a forward uses and no op of it has made are found where they are kept."""

from __future__ import annotations

import functools
import gc
from types import FrameType
from typing import Any

import torch
from torch import nn

from pipetrace.capture import trees
from pipetrace.parts import Link

_INTERNAL = frozenset(nn.Module().__dict__)
UNSEEN = Link(source="unseen")


_MOST_SEARCHES = 8
"""Looking for what holds a tensor takes milliseconds: after so many nobody looks."""


class Constants:
    """The tensors in a model's attributes which are neither parameters nor buffers.

    Args:
        model: The root; all its modules are looked through, once.
    """

    def __init__(self, model: nn.Module) -> None:
        self._known: dict[int, tuple[torch.Tensor, str]] = {}
        self._searches = 0
        for path, module in model.named_modules():
            for name, value in module.__dict__.items():
                if name not in _INTERNAL:
                    self._note(value, f"{path}.{name}" if path else name)

    def link(self, tensor: torch.Tensor, frame: FrameType | None) -> Link:
        """Return where a tensor is kept: an attribute, or a global variable of running code."""
        known = self._known.get(id(tensor))
        if known is None:
            self._search(tensor, frame)
            known = self._known.get(id(tensor))
        return UNSEEN if known is None else Link(source="constant", name=known[1])

    def _note(self, value: Any, name: str) -> None:
        for path, tensor in trees.leaves(value):
            self._known.setdefault(id(tensor), (tensor, name + path))

    def _search(self, tensor: torch.Tensor, frame: FrameType | None) -> None:
        seen: set[int] = set()
        while frame is not None:
            names = frame.f_globals
            if id(names) not in seen:
                seen.add(id(names))
                for name, value in list(names.items()):
                    if value is tensor:
                        self._note(value, name)
                        return
            frame = frame.f_back
        self._searches += 1
        if self._searches <= _MOST_SEARCHES:
            for holder in gc.get_referrers(tensor):
                if isinstance(holder, functools._lru_cache_wrapper):
                    self._note(tensor, f"cache of {holder.__wrapped__.__name__}")
                    return
