"""Which evaluations have their metrics stated: so many that it costs nothing, the last and best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from pipetrace.records import Evaluation, Fact
from pipetrace.training.metrics import measure
from pipetrace.training.scores import LossCall

ALWAYS = 10
"""So many evaluations of the same rows are measured whatever it costs."""
STEPS = 200
"""After them one in so many optimizer steps."""


class Evaluated(NamedTuple):
    """An evaluation that was stated, and what its loss function received."""

    stated: Evaluation
    calls: list[LossCall]

    @property
    def rows(self) -> tuple[int, str, int]:
        """What tells the rows of evaluations apart: training, name and number."""
        return self.stated.training, self.stated.name, self.stated.score.rows

    @property
    def loss(self) -> float:
        """The mean loss; infinite where it is unknown or no number."""
        loss = self.stated.score.loss
        return math.inf if loss is None or math.isnan(loss) else loss


class Measures:
    """States metrics of evaluations: of some at once, of the last and the best at the end."""

    def __init__(self, emit: Callable[[Fact], None]) -> None:
        self._emit = emit
        self._waiting: dict[tuple[int, str, int], Evaluated] = {}
        self._best: dict[tuple[int, str, int], Evaluated] = {}
        self._measured: dict[tuple[int, str, int], tuple[int, int]] = {}
        """How many were measured, and the step of the last."""

    def add(self, done: Evaluated) -> None:
        """Measure an evaluation, or keep it until another shows that it is neither last nor best.

        Args:
            done: The evaluation, stated a moment ago.
        """
        count, step = self._measured.get(done.rows, (0, 0))
        best = self._best.get(done.rows)
        better = best is None or done.loss < best.loss
        if count < ALWAYS or done.stated.step - step >= STEPS:
            self._measured[done.rows] = count + 1, done.stated.step
            self._waiting.pop(done.rows, None)
            self._state(done)
            done = done._replace(calls=[])
        else:
            self._waiting[done.rows] = done
        if better:
            self._best[done.rows] = done

    def settle(self) -> None:
        """Measure what waits: the training, or the program, is over."""
        kept = [each for rest in (self._best, self._waiting) for each in rest.values()]
        for index in sorted({each.stated.index for each in kept if each.calls}):
            self._state(next(each for each in kept if each.stated.index == index))
        self._waiting.clear()
        self._best.clear()
        self._measured.clear()

    def _state(self, done: Evaluated) -> None:
        stated = done.stated
        metrics = measure(done.calls, stated.training, stated.epoch, stated.index)
        if metrics is not None:
            self._emit(metrics)
