"""A rule has a permanent id, looks at epochs, and quotes its numbers and no cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipetrace.records import Score
from pipetrace.story.epochs import Row, Trace, finite
from pipetrace.story.figures import accuracy, loss, number, relative

PLATEAU = 0.01
"""A relative change of the loss below this is called none."""


@dataclass(frozen=True)
class Sight:
    """What a rule may look at: one epoch, the one before, and the best held-out loss until then."""

    trace: Trace
    row: Row
    before: Row | None
    best: float | None
    speeds: Sequence[float] = ()
    """Examples per second in the epochs before, 50 at most."""

    @property
    def loop(self) -> tuple[float, float] | None:
        """The loop's mean loss of the epoch before and of this one, where both are finite."""
        return pair(self.before.loop if self.before else None, self.row.loop)

    @property
    def off(self) -> tuple[float, float] | None:
        """The loss with dropout off at the end of the epoch before and of this one."""
        before = self.before.probe if self.before else None
        return pair(before.off if before else None, self.row.probe.off if self.row.probe else None)

    @property
    def held(self) -> tuple[float, float] | None:
        """The held-out loss after the epoch before and after this one."""
        before = self.before.scores if self.before else {}
        return pair(before.get(self.trace.held), self.row.scores.get(self.trace.held))

    @property
    def chance(self) -> float | None:
        """The standard error of the loop's change, where that change is within twice of it."""
        error, pair = standard_error(self.before, self.row), self.loop
        return error if error and pair and abs(pair[1] - pair[0]) <= 2 * error else None

    @property
    def name(self) -> str:
        """What the evaluation is called in a sentence."""
        return self.trace.held.partition(" (")[0]


Rule = Callable[[Sight], str]


@dataclass(frozen=True)
class Observation:
    """A registered rule; it returns a sentence, or nothing where it has nothing to say."""

    id: str
    tone: str
    rule: Rule


OBSERVATIONS: list[Observation] = []
"""The rules on one epoch, the most important first."""


class Found(NamedTuple):
    """What a rule on a whole training found, and in which epochs."""

    where: str
    text: str


Whole = Callable[[Trace], Found | None]


@dataclass(frozen=True)
class Overall:
    """A registered rule on a whole training."""

    id: str
    tone: str
    rule: Whole


OVERALL: list[Overall] = []
"""The rules on a whole training, in the order in which a page tells them."""


def overall(rule_id: str, tone: str = "plain") -> Callable[[Whole], Whole]:
    """Register a rule on a whole training under its permanent id."""

    def register(rule: Whole) -> Whole:
        OVERALL.append(Overall(rule_id, tone, rule))
        return rule

    return register


def observation(rule_id: str, tone: str = "plain") -> Callable[[Rule], Rule]:
    """Register a rule under its permanent id; rules that come first in this file win."""

    def register(rule: Rule) -> Rule:
        OBSERVATIONS.append(Observation(rule_id, tone, rule))
        return rule

    return register


def pair(before: Score | None, now: Score | None) -> tuple[float, float] | None:
    """Return two losses, where both are finite."""
    first = finite(before.loss) if before else None
    second = finite(now.loss) if now else None
    return None if first is None or second is None else (first, second)


def moved(two: tuple[float, float]) -> str:
    """Write a change: `from 1.012 to 0.850 (16.0 % lower)`."""
    before, now = two
    if loss(before) == loss(now):
        return f"from {number(before)} to {number(now)}"
    return f"from {loss(before)} to {loss(now)} ({relative(before, now)})"


def change(two: tuple[float, float] | None) -> float:
    """Return the relative change of a pair of losses; 0 where there is none."""
    if two is None or two[0] == 0:
        return 0.0
    return (two[1] - two[0]) / abs(two[0])


def with_accuracy(score: Score | None) -> str:
    """Write an accuracy behind a loss, where there is one."""
    return f", accuracy {accuracy(score.accuracy)}" if score and score.accuracy is not None else ""


def named(row: Row, rows: Sequence[Row] = ()) -> str:
    """Name epochs: `epoch 3`, `epochs 3 to 7`."""
    last = rows[-1].index if rows else row.index
    return f"epoch {row.index}" if last == row.index else f"epochs {row.index} to {last}"


def noise(values: Sequence[float]) -> float | None:
    """Return how far values scatter around a smooth course; None of fewer than four.

    The second differences of independent noise have six times its variance, and those of a
    straight line are 0 (von Neumann et al. 1941, The mean square successive difference, with one
    difference more).

    >>> noise([4.0, 3.0, 2.0, 1.0])
    0.0
    """
    if len(values) < 4:
        return None
    triples = zip(values, values[1:], values[2:], strict=False)
    squares = [(a - 2 * b + c) ** 2 for a, b, c in triples]
    return math.sqrt(math.fsum(squares) / len(squares) / 6)


def variance(values: Sequence[float]) -> float:
    """Return the sample variance of two values or more."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def standard_error(before: Row | None, now: Row) -> float | None:
    """Return the standard error of the change of the mean loss of the steps between two epochs.

    None where an epoch has fewer than eight steps, or losses that are not finite.
    """
    if before is None or min(len(before.losses), len(now.losses)) < 8:
        return None
    error = math.sqrt(sum(variance(row.losses) / len(row.losses) for row in (before, now)))
    return error if math.isfinite(error) else None
