"""Of every parameter of a called model: who owns it, whether it got gradients, whether it moved."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pipetrace.capture.places import maker
from pipetrace.observed import Wired
from pipetrace.observing import begun
from pipetrace.observing.optimizers import Optimizers, nonzero
from pipetrace.observing.witness import Made, Witness
from pipetrace.parts import Place
from pipetrace.records import Fact
from pipetrace.training.captures import Root

_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weight begins uniform."""
_INTERNAL = frozenset(nn.Module().__dict__)
_MOST = 5000
"""Parameters of one model that are followed."""
_MANY = 1000
_DEPTH = 3


class _Weight:
    """One parameter, from its first sight on."""

    def __init__(self, root: Root, path: str, tensor: torch.Tensor, registered: bool) -> None:
        self.root, self.path, self.registered = root, path, registered
        self.ref = weakref.ref(tensor)
        self.shape = tuple(tensor.shape)
        self.parameter = isinstance(tensor, nn.Parameter)
        self.steps = self.wanted = self.given = self.others = self.other_given = 0
        self.other_wanted = 0
        self.reached = self.plain = False
        self.first = begun.sample(tensor)
        self.made: Place | None = None

    def at_step(self, owned: bool) -> None:
        """Look at its gradient, while an optimizer that owns it, or another, is about to step."""
        tensor = self.ref()
        if tensor is None:
            return
        gradient = tensor.grad
        if owned:
            self.steps += 1
            self.wanted += tensor.requires_grad
            self.given += gradient is not None
        else:
            self.others += 1
            self.other_wanted += tensor.requires_grad
            self.other_given += gradient is not None
        if gradient is not None and not self.reached:
            self.reached = nonzero(gradient)

    def told(self, optimizers: Optimizers, twins: set[tuple[float, ...]]) -> Wired:
        tensor = self.ref()
        moved = None if tensor is None else begun.sample(tensor) != self.first
        still = tensor if moved is False else None
        owners = () if tensor is None else optimizers.owners(tensor)
        own = self.steps > 0
        return Wired(
            model=self.root.id, path=self.path, shape=self.shape, registered=self.registered,
            parameter=self.parameter,
            optimizers=tuple(known.id for known in owners),
            steps=self.steps if own else self.others,
            wanted=self.wanted if own else self.other_wanted,
            given=self.given if own else self.other_given, reached=self.reached, moved=moved,
            uniform=begun.uniform(still) if still is not None and self.plain else None,
            drawn=begun.drawn(still) if still is not None else None, twin=self.first in twins,
            made=self.made,
        )  # fmt: skip


class Wiring(Witness):
    """The witness of parameters."""

    def __init__(self, optimizers: Optimizers) -> None:
        self._optimizers = optimizers
        self._weights: dict[int, _Weight] = {}
        self._of: weakref.WeakKeyDictionary[Root, list[_Weight]] = weakref.WeakKeyDictionary()
        self._looks: weakref.WeakKeyDictionary[Root, int] = weakref.WeakKeyDictionary()

    def about(self, made: Made) -> None:
        """Get to know a model's parameters; others may come or go while it is trained."""
        looks = self._looks[made.root] = self._looks.get(made.root, 0) + 1
        if looks & (looks - 1):
            return
        of = self._of.setdefault(made.root, [])
        plain = {id(m.weight) for m in made.model.modules() if isinstance(m, _PLAIN)}
        seen: set[int] = set()
        for path, tensor, module in _parameters(made.model):
            if id(tensor) in seen or len(of) >= _MOST:
                continue
            seen.add(id(tensor))
            known, registered = self._weights.get(id(tensor)), module is None
            if known is None or known.ref() is not tensor:
                weight = self._weights[id(tensor)] = _Weight(made.root, path, tensor, registered)
                weight.plain = id(tensor) in plain
                weight.made = None if module is None else maker(module)
                of.append(weight)
            elif known.root is not made.root and registered and not known.registered:
                known.registered = True

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at every gradient."""
        owned = self._optimizers.of(optimizer).owned()
        stepped = [known.owned() for known in self._optimizers if known.steps]
        for key, weight in self._weights.items():
            if key in owned or not any(key in each for each in stepped):
                weight.at_step(key in owned)

    def facts(self) -> Iterator[Fact]:
        """State every parameter."""
        weights = list(self._weights.values())
        firsts: set[tuple[float, ...]] = set()
        twins: set[tuple[float, ...]] = set()
        for weight in weights:
            if len(set(weight.first)) > 1:
                (twins if weight.first in firsts else firsts).add(weight.first)
        for weight in weights:
            if weight.root.id >= 0:
                yield weight.told(self._optimizers, twins)


def _parameters(model: nn.Module) -> Iterator[tuple[str, torch.Tensor, nn.Module | None]]:
    """Yield what a model could train: what is registered, then what its attributes hold besides.

    With what is not registered comes the module that has it.
    """
    for path, parameter in model.named_parameters():
        yield path, parameter, None
    for path, module in list(model.named_modules()):
        head = f"{path}." if path else ""
        for name, value in list(vars(module).items()):
            if name not in _INTERNAL:
                yield from _hidden(head + name, value, module, 0)


def _hidden(
    path: str, value: Any, holder: nn.Module, depth: int
) -> Iterator[tuple[str, torch.Tensor, nn.Module]]:  # fmt: skip
    if isinstance(value, nn.Module):
        # A reference back to a parent yields what is known already.
        for name, parameter in value.named_parameters():
            yield f"{path}.{name}", parameter, value
    elif isinstance(value, torch.Tensor):
        if value.is_leaf and value.requires_grad:
            yield path, value, holder
    elif isinstance(value, (list, tuple, dict)) and len(value) <= _MANY and depth < _DEPTH:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _hidden(f"{path}[{key!r}]", item, holder, depth + 1)
