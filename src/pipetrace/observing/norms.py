"""Batch normalisation is watched while it trains: what is frozen of it, and what still moves."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipetrace.observed import Norm
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Fact
from pipetrace.training.captures import Root


class _Watched:
    """One layer that keeps running statistics."""

    def __init__(self, path: str, layer: _BatchNorm, asleep: bool) -> None:
        self.path, self.ref, self.asleep = path, weakref.ref(layer), asleep
        self.frozen: list[Turn] = []
        self.free: list[Turn] = []
        self.slept: list[Turn] = []
        self.begun: torch.Tensor | None = None
        self.before: torch.Tensor | None = None
        self.shift = 0.0

    def about(self, turn: Turn) -> None:
        layer, self.before = self.ref(), None
        if layer is None or layer.running_mean is None:
            return
        if not layer.training:
            self.slept.append(turn)
            return
        own = [parameter for parameter in (layer.weight, layer.bias) if parameter is not None]
        free = not own or any(parameter.requires_grad for parameter in own)
        (self.free if free else self.frozen).append(turn)
        if self.asleep or not free:
            self.before = layer.running_mean.detach().clone()
            self.begun = self.before if self.begun is None else self.begun

    def called(self) -> None:
        layer = self.ref()
        if self.before is None or layer is None or layer.running_mean is None:
            return
        # What the program copies into it between two calls, an average of another, is no drift.
        if self.begun is None or torch.equal(layer.running_mean, self.before):
            return
        assert layer.running_var is not None
        gap = (layer.running_mean - self.begun).abs() / (layer.running_var + layer.eps).sqrt()
        self.shift = max(self.shift, float(gap.max()))


class Norming(Witness):
    """The witness of batch normalisation."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Root, list[_Watched]] = weakref.WeakKeyDictionary()
        self._roots: list[tuple[Root, list[_Watched]]] = []
        self._asleep: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def handed(self, model: nn.Module) -> None:
        """Note the layers that are in eval mode within a model in train mode."""
        if model.training:
            self._asleep.update(each for _, each in _layers(model) if not each.training)

    def about(self, made: Made) -> None:
        """Note which layers are about to move while their parameters do or do not train."""
        if not made.graph or not made.model.training:
            return
        layers = self._known.get(made.root)
        if layers is None:
            layers = [
                _Watched(path, each, each in self._asleep) for path, each in _layers(made.model)
            ]
            self._known[made.root] = layers
            self._roots.append((made.root, layers))
        for each in layers:
            each.about(made.turn)

    def called(self, made: Made, output: Any) -> None:
        """Measure how far those that are frozen have moved."""
        if made.graph and made.model.training:
            for each in self._known.get(made.root, ()):
                each.called()

    def facts(self) -> Iterator[Fact]:
        """State the layers that were in train mode in forwards that were trained on."""
        for root, layers in self._roots:
            for each in layers:
                turns = each.frozen, each.free, each.slept
                frozen, free, slept = (sum(turn.trained for turn in some) for some in turns)
                if frozen or free or slept:
                    yield Norm(model=root.id, path=each.path, frozen=frozen, free=free,
                               slept=slept, asleep=each.asleep, shift=each.shift)  # fmt: skip


def _layers(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    for path, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            yield path, module
