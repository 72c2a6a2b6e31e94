"""The learning rate of every step, and every step of a scheduler of PyTorch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim import lr_scheduler

from pipetrace.observed import LearningRates
from pipetrace.observing.optimizers import Known, Optimizers, line
from pipetrace.observing.witness import Witness
from pipetrace.observing.wrapping import Wrapping
from pipetrace.parts import Place
from pipetrace.records import Fact
from pipetrace.training.recorder import Recorder

_LISTED = 10_000


class _Course:
    """The learning rates of one optimizer."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.rates: list[float] = []
        self.attached = False
        self.scheduler = ""
        self.place: Place | None = None
        self.scheduled: list[int] = []

    def told(self) -> LearningRates:
        return LearningRates(
            optimizer=self.known.id, rates=tuple(self.rates), attached=self.attached,
            scheduler=self.scheduler, place=self.place, scheduled=tuple(self.scheduled),
        )  # fmt: skip


class Scheduling(Witness):
    """The witness of learning rates."""

    def __init__(self, recorder: Recorder, optimizers: Optimizers) -> None:
        self._optimizers = optimizers
        self._wrapping = Wrapping(recorder)
        self._all: dict[int, _Course] = {}
        self._inside: weakref.ref[torch.optim.Optimizer] | None = None

    def begin(self) -> None:
        """Hear the steps of every scheduler that PyTorch has."""
        kinds = {kind for kind in vars(lr_scheduler).values() if isinstance(kind, type)}
        for kind in kinds:
            if issubclass(kind, lr_scheduler.LRScheduler) and "step" in vars(kind):
                self._wrapping.hear(kind, "step", self._scheduled)

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the learning rate of a step."""
        course = self._of(optimizer)
        if len(course.rates) < _LISTED:
            groups = optimizer.param_groups
            course.rates.append(max((float(group.get("lr", 0)) for group in groups), default=0.0))
            course.attached = course.attached or any("initial_lr" in group for group in groups)

    def end(self) -> None:
        """Hear no more."""
        self._wrapping.end()

    def facts(self) -> Iterator[Fact]:
        """State every optimizer that has stepped."""
        for course in self._all.values():
            if course.rates:
                yield course.told()

    def _of(self, optimizer: torch.optim.Optimizer) -> _Course:
        known = self._optimizers.of(optimizer)
        return self._all.setdefault(known.id, _Course(known))

    def _scheduled(self, scheduler: Any, *_: Any, **__: Any) -> Callable[[], None] | None:
        optimizer = getattr(scheduler, "optimizer", None)
        # One that is made steps once by itself; one that is made of others steps those.
        inside = self._inside is not None
        if inside or scheduler._is_initial or not isinstance(optimizer, torch.optim.Optimizer):
            return None
        course = self._of(optimizer)
        if len(course.scheduled) < _LISTED:
            course.scheduled.append(course.known.steps)
        course.scheduler, course.place = type(scheduler).__name__, line()
        self._inside = weakref.ref(optimizer)
        return self._left

    def _left(self) -> None:
        self._inside = None
