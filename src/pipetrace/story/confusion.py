"""Numbers that follow from counts: precision, recall, F1, IoU and calibration error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipetrace.records import Bin


@dataclass(frozen=True)
class OfClass:
    """What counts say of one class or label; None where nothing is divided by nothing."""

    hits: int
    """Predicted and true."""
    alarms: int
    """Predicted and not true."""
    misses: int
    """Not predicted and true."""

    @property
    def support(self) -> int:
        """How many targets are of this class."""
        return self.hits + self.misses

    @property
    def precision(self) -> float | None:
        """The share of its predictions that are true."""
        return _share(self.hits, self.hits + self.alarms)

    @property
    def recall(self) -> float | None:
        """The share of its targets that were predicted."""
        return _share(self.hits, self.support)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall.

        >>> OfClass(hits=6, alarms=2, misses=2).f1, OfClass(hits=0, alarms=0, misses=0).f1
        (0.75, None)
        """
        return _share(2 * self.hits, 2 * self.hits + self.alarms + self.misses)

    @property
    def iou(self) -> float | None:
        """Intersection over union of what was predicted and what is true."""
        return _share(self.hits, self.hits + self.alarms + self.misses)


def by_class(confusion: Sequence[Sequence[int]]) -> list[OfClass]:
    """Return what a confusion matrix says of each class.

    Args:
        confusion: Counts; a row for each true class, a column for each predicted.

    >>> [(each.precision, each.recall) for each in by_class([[3, 1], [1, 1]])]
    [(0.75, 0.75), (0.5, 0.5)]
    """
    columns = [sum(column) for column in zip(*confusion, strict=True)]
    return [
        OfClass(row[at], columns[at] - row[at], sum(row) - row[at])
        for at, row in enumerate(confusion)
    ]


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that there are: classes that nobody saw count nowhere.

    >>> mean([0.5, None, 1.0]), mean([None])
    (0.75, None)
    """
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Return the expected calibration error: the mean gap of probability and share that came true.

    It is Naeini et al.'s, "Obtaining well calibrated probabilities using Bayesian binning" (2015).

    >>> calibration_error([Bin(count=3, probability=0.9, share=0.8), Bin(count=1)])
    0.075
    """
    total = sum(each.count for each in bins)
    gaps = (each.count * abs(each.probability - each.share) for each in bins)
    return round(sum(gaps), 12) / total if total else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
