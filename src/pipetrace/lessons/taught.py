"""What was measured and executed for a lesson: with its run, all that its page tells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pipetrace.lessons import facts
from pipetrace.lessons.answering import outcome_text
from pipetrace.lessons.folder import Comparison, Lesson, Setting
from pipetrace.records import Outcome, Question
from pipetrace.tracefile import Recording

Curves = dict[str, list[float]]
"""A number for each epoch, by what was measured."""
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5 % point of Student's t with 1 to 30 degrees of freedom."""
_NORMAL = 1.959964


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that was trained: curves of every seed, with the layer and without."""

    comparison: Comparison
    with_: tuple[Curves, ...]
    without: tuple[Curves, ...]

    def last(self, curves: tuple[Curves, ...]) -> list[float]:
        """Return what each seed measured at its last epoch."""
        return [each[self.comparison.measure][-1] for each in curves]

    @property
    def less_is_better(self) -> bool:
        """Whether less of what is measured is better: of a loss or a gap it is."""
        return self.comparison.measure.endswith(("loss", "gap"))

    @property
    def differences(self) -> list[float]:
        """For each seed: with the layer less without."""
        pairs = zip(self.last(self.with_), self.last(self.without), strict=True)
        return [one - other for one, other in pairs]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference, by Student's t for paired differences."""
        differences = self.differences
        if not self.finite:
            return math.nan, math.nan
        free = len(differences) - 1
        reach = _T[free - 1] if free <= len(_T) else _beyond(free)
        mean = statistics.fmean(differences)
        variance = math.fsum((each - mean) * (each - mean) for each in differences) / free
        half = reach * math.sqrt(variance / len(differences))
        return mean - half, mean + half

    @property
    def finite(self) -> bool:
        """Whether every training ended with a number that others can be compared with."""
        return all(math.isfinite(each) for each in self.differences)

    @property
    def verdict(self) -> str:
        """What the interval says of the layer: `better`, `worse` or `no clear difference`.

        `not measured` where a training diverged.
        """
        if not self.finite:
            return "not measured"
        low, high = self.interval
        if not (low > 0 or high < 0):
            return "no clear difference"
        return "better" if (high < 0) == self.less_is_better else "worse"

    def facts(self) -> dict[str, str]:
        """Return what a text may name of it."""
        differences = self.differences
        low, high = self.interval
        better = sum(value < 0 if self.less_is_better else value > 0 for value in differences)
        numbers = {
            "with": _mean(self.last(self.with_)),
            "without": _mean(self.last(self.without)),
            "difference": _mean(differences),
            "low": low,
            "high": high,
        }
        told = {name: facts.figure(value) or "" for name, value in numbers.items()}
        told |= {"seeds": str(len(differences)), "better": str(better), "verdict": self.verdict}
        return {f"study.{self.comparison.id}.{name}": text for name, text in told.items()}


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of an experiment's settings, trained."""

    choices: tuple[int, ...]
    settings: dict[str, Setting]
    seed: int
    curves: Curves
    reached: bool


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """A silent bug: the program that has it, what a check of it found, and the mended program."""

    rule: str
    title: str
    why: str
    code: str
    mended: str
    message: str
    evidence: str
    fix: str
    line: int
    left: int
    """Findings of the same rule in the mended program."""


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson on a run, as far as it has been made."""

    lesson: Lesson
    recording: Recording
    own: bool = False
    """Whether the run is somebody's own, not that of the lesson's example."""
    seed: int = 0
    bank: tuple[Question, ...] = ()
    demos: Mapping[str, Outcome] = {}
    cards: Mapping[str, Outcome] = {}
    measured: tuple[Measured, ...] = ()
    tried: tuple[Tried, ...] = ()
    bugs: tuple[Bug, ...] = ()
    weights: tuple[float, ...] = ()
    """Parameters of the scheduler of its cards."""
    pending: tuple[str, ...] = ()
    """What is still being made: `studies`, `experiment`, `checks`."""
    failed: Mapping[str, str] = {}
    """What could not be made, and why."""

    def facts(self) -> dict[str, str]:
        """Return every fact that its text may name and that is known by now."""
        found = facts.told(self.recording)
        for measured in self.measured:
            found |= measured.facts()
        return found | dict(_outcomes("demo", self.demos))


def _beyond(free: int) -> float:
    """Return what follows the table: the first terms of its expansion in 1/free.

    Source: M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions (1964), 26.7.5.

    >>> round(_beyond(31), 3), round(_beyond(100), 3)
    (2.039, 1.984)
    """
    z = _NORMAL
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if all(map(math.isfinite, values)) else math.nan


def _outcomes(kind: str, outcomes: Mapping[str, Outcome]) -> Iterator[tuple[str, str]]:
    for name, outcome in outcomes.items():
        yield f"{kind}.{name}", outcome_text(outcome)
        for field, value in outcome.fields.items():
            yield f"{kind}.{name}.{field}", value
