"""Optimizers get ids in the order in which they are first heard of, and are kept weakly."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator

import torch

from pipetrace.capture import places
from pipetrace.parts import Place


class Known:
    """One optimizer of the program.

    Attributes:
        id: Its id.
        type: The name of its class.
        place: The user's line that steps it, once it has.
        steps: How often it has stepped.
    """

    def __init__(self, id: int, optimizer: torch.optim.Optimizer) -> None:
        self.id, self.type = id, type(optimizer).__name__
        self.ref = weakref.ref(optimizer)
        self.place: Place | None = None
        self.steps = 0
        self._shape: tuple[int, ...] = ()
        self._owned: dict[int, weakref.ref[torch.Tensor]] = {}
        self.owned()

    def owned(self) -> dict[int, weakref.ref[torch.Tensor]]:
        """Return its parameters by the ids of their objects: those of the last time we looked."""
        optimizer = self.ref()
        if optimizer is not None:
            # A group that is added, or emptied, changes this.
            shape = tuple([len(group["params"]) for group in optimizer.param_groups])
            if shape != self._shape:
                self._shape = shape
                tensors = (tensor for group in optimizer.param_groups for tensor in group["params"])
                self._owned |= {id(tensor): weakref.ref(tensor) for tensor in tensors}
        return self._owned

    def parameters(self) -> list[torch.Tensor]:
        """Return its parameters that are still there."""
        return [tensor for ref in self.owned().values() if (tensor := ref()) is not None]


class Optimizers:
    """All optimizers that were heard of."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._all: list[Known] = []

    def __iter__(self) -> Iterator[Known]:
        return iter(self._all)

    def of(self, optimizer: torch.optim.Optimizer) -> Known:
        """Return what is known of an optimizer; a new one is known from now on."""
        known = self._known.get(id(optimizer))
        if known is None or known.ref() is not optimizer:
            known = self._known[id(optimizer)] = Known(len(self._all), optimizer)
            self._all.append(known)
        return known

    def owners(self, tensor: torch.Tensor) -> list[Known]:
        """Return the optimizers that own a tensor."""
        found = [(known, known.owned().get(id(tensor))) for known in self._all]
        return [known for known, ref in found if ref is not None and ref() is tensor]


def line() -> Place | None:
    """Return the user's line that is running."""
    spot = places.caller(sys._getframe(1))
    return None if spot is None else spot.place()


def nonzero(gradient: torch.Tensor | None) -> bool:
    """Tell whether there is a gradient that is not 0 everywhere."""
    if gradient is None:
        return False
    if gradient.layout is not torch.strided:
        return bool(torch.norm(gradient) != 0)
    return bool(gradient.any())


def norm(gradients: list[torch.Tensor]) -> float:
    """Return the L2 norm of gradients together."""
    squares = [float(torch.norm(gradient.detach())) ** 2 for gradient in gradients]
    return float(sum(squares) ** 0.5)
