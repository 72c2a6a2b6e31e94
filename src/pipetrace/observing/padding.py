"""Where a model's inputs hold padding, its loss either leaves the targets out or counts them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from pipetrace.capture import trees
from pipetrace.observed import Padded
from pipetrace.observing.losses import Given, Losses
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Fact
from pipetrace.training.captures import Root

_FUNCTIONS = frozenset({"cross_entropy", "nll_loss"})
_MOST = 100_000
"""Tokens of a batch; larger ones are not looked at."""
_LATEST = 4
_BATCHES = 32
"""So many batches of each loss are looked at."""


class Padding(Witness):
    """The witness of targets at places of padding."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._tokens: weakref.WeakKeyDictionary[Root, int | None] = weakref.WeakKeyDictionary()
        self._places: deque[tuple[Turn, torch.Tensor, int]] = deque(maxlen=_LATEST)
        self._found: dict[int, Padded] = {}
        self._looked: dict[int, int] = {}

    def called(self, made: Made, output: Any) -> None:
        """Keep where a batch of tokens holds padding."""
        if made.root not in self._tokens:
            self._tokens[made.root] = _padding(made.model)
        token = self._tokens[made.root]
        if token is None:
            return
        ids = trees.first((made.args, made.kwargs))
        rows = ids is not None and ids.dim() == 2 and not ids.is_floating_point()
        if ids is not None and rows and ids.numel() <= _MOST:
            self._places.append((made.turn, _ends(ids == token), token))

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Count the targets at these places."""
        if self._losses.given is not None:
            self._take(self._losses.given)

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Count those that only the graph told of."""
        for given in self._losses.unheard:
            self._take(given)

    def facts(self) -> Iterator[Fact]:
        """State how many targets at places of padding were counted."""
        yield from (each for each in self._found.values() if each.padded)

    def _take(self, given: Given) -> None:
        if given.name not in _FUNCTIONS or given.kwargs.get("reduction") == "none":
            return
        looked = self._looked.get(given.kind, 0)
        found = next((each for each in self._places if each[0] is given.mark.turn), None)
        if found is None or looked >= _BATCHES:
            return
        self._looked[given.kind] = looked + 1
        _, places, token = found
        fitting = _fitting(places, given.target)
        if fitting is not None:
            counted = fitting & _counted(given).reshape(fitting.shape)
            known = self._found.get(given.kind)
            self._found[given.kind] = Padded(
                loss=given.kind, padding=token,
                places=fitting.numel() + (known.places if known else 0),
                padded=int(fitting.sum()) + (known.padded if known else 0),
                counted=int(counted.sum()) + (known.counted if known else 0),
            )  # fmt: skip


def _padding(model: nn.Module) -> int | None:
    tokens = {
        module.padding_idx for module in model.modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None
    }  # fmt: skip
    return tokens.pop() if len(tokens) == 1 else None


def _ends(places: torch.Tensor) -> torch.Tensor:
    """Return the runs of such places that a row begins or ends with: one inside is a token."""
    after = places.flip(1).cummin(1).values.flip(1)
    ends = after | places.cummin(1).values
    # A single one may end a sentence.
    return ends & (ends.sum(1, keepdim=True) > 1)


def _fitting(places: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
    """Return the places that targets stand at: of each token, or of each one but the last."""
    rows, length = places.shape
    if target.numel() == places.numel():
        return places
    return places[:, :-1] if target.numel() == rows * (length - 1) else None


def _counted(given: Given) -> torch.Tensor:
    """Return which targets a loss function was not told to leave out."""
    target = given.target
    counted: torch.Tensor = target != given.kwargs.get("ignore_index", -100)
    weight = given.kwargs.get("weight")
    if isinstance(weight, torch.Tensor) and not target.is_floating_point():
        counted &= weight[target.clamp(0, len(weight) - 1)] > 0
    return counted
