"""An evaluation by batches has two means: told is where the program took that of the means."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from msgspec.structs import replace

from pipetrace.capture import places, variables
from pipetrace.observed import Averaged
from pipetrace.observing.losses import Losses
from pipetrace.observing.witness import Made, Witness
from pipetrace.records import Fact

_BATCHES = 1000
_ACCURACY = 100_000
"""Scores of larger batches are not counted for an accuracy."""
_EQUAL = 1e-5
_APART = 1e-3
"""Two means are the same, or not, where they differ by such a share."""


@dataclass
class _Phase:
    """Batches of one evaluation, while no optimizer steps."""

    kind: int
    spot: places.Spot | None
    rows: list[int] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    accuracies: list[torch.Tensor] = field(default_factory=list)

    def means(self) -> Iterator[tuple[float, float]]:
        """Yield of loss and accuracy the mean of the batches' means, and that over all rows."""
        for values in (self.losses, self.accuracies):
            if len(values) == len(self.rows):
                numbers = [float(value) for value in values]
                plain = sum(numbers) / len(numbers)
                rows = zip(numbers, self.rows, strict=True)
                yield plain, sum(number * count for number, count in rows) / sum(self.rows)


class Averages(Witness):
    """The witness of what a program says of an evaluation."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._phase: _Phase | None = None
        self._found: dict[int, Averaged] = {}

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Keep the loss of a batch that is evaluated."""
        given = self._losses.given
        mean = kwargs.get("reduction", "mean") == "mean" and isinstance(result, torch.Tensor)
        if given is None or given.prediction.requires_grad or not mean or result.requires_grad:
            return
        if not given.prediction.dim():
            return
        phase = self._phase
        if phase is None or phase.kind != given.kind:
            self._look()
            phase = self._phase = _Phase(given.kind, places.caller(sys._getframe(1)))
        phase.rows.append(given.prediction.size(0))
        phase.losses.append(result.detach().clone())
        prediction, target = given.prediction, given.target
        chosen = prediction.dim() == 2 and target.dim() == 1 and not target.is_floating_point()
        if chosen and prediction.numel() <= _ACCURACY:
            phase.accuracies.append((prediction.argmax(1) == target).float().mean())

    def about(self, made: Made) -> None:
        """Look for the evaluation's number once training goes on."""
        if made.graph:
            self._look()

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """Look for it before a step, too."""
        self._look()

    def said(self, value: Any) -> None:
        """Take the number from what a step of the program returned."""
        self._settle(list(_numbers(value)))

    def facts(self) -> Iterator[Fact]:
        """State which evaluations were the means of their batches' means."""
        yield from self._found.values()

    def _look(self) -> None:
        phase = self._phase
        if phase is None:
            return
        # Of batches of the same size both means are the same.
        if len(set(phase.rows)) > 1:
            self._settle(list(_variables(sys._getframe(1))))
        self._phase = None

    def _settle(self, numbers: list[float]) -> None:
        phase, self._phase = self._phase, None
        if phase is None or len(set(phase.rows)) < 2:
            return
        for plain, weighted in phase.means():
            apart = not _same(plain, weighted, _APART)
            said = apart and any(_same(number, plain, _EQUAL) for number in numbers)
            if said and not any(_same(number, weighted, _EQUAL) for number in numbers):
                known = self._found.get(phase.kind)
                place = None if phase.spot is None else phase.spot.place()
                new = Averaged(place=place, batches=tuple(phase.rows[:_BATCHES]), said=plain,
                               weighted=weighted)  # fmt: skip
                if known is None or _gap(new) > _gap(known):
                    self._found[phase.kind] = replace(new, count=known.count if known else 0)
                found = self._found[phase.kind]
                self._found[phase.kind] = replace(found, count=found.count + 1)


def _gap(found: Averaged) -> float:
    return abs(found.said - found.weighted) / max(abs(found.weighted), 1e-12)


def _same(one: float, other: float, share: float) -> bool:
    return abs(one - other) <= share * max(abs(other), 1e-6)


def _numbers(value: Any, depth: int = 0) -> Iterator[float]:
    """Yield the numbers of a value, no code of the program run; of a list, the last one."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and not value.is_meta and not value.dim():
            yield float(value)
    elif isinstance(value, float):
        yield float(value)
    elif depth < 2 and type(value) in (dict, defaultdict) and len(value) < 64:
        for each in list(value.values()):
            yield from _numbers(each, depth + 1)
    elif depth < 2 and isinstance(value, tuple) and len(value) < 8:
        for each in tuple.__iter__(value):
            yield from _numbers(each, depth + 1)
    elif depth < 4 and type(value) is list and value:
        yield from _numbers(value[-1], depth + 1)


def _variables(frame: FrameType | None) -> Iterator[float]:
    """Yield the numbers in the variables of the program's own frames."""
    while frame is not None:
        if places.is_users(frame.f_code):
            yield from variables.look(frame, _all) or ()
        frame = frame.f_back


def _all(known: Mapping[str, Any]) -> list[float]:
    return [number for value in list(known.values()) for number in _numbers(value)]
