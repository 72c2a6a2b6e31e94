"""A pair of runs, called A and B, and how what is known of both is put side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from pipetrace.blocks import Head, Table
from pipetrace.story.epochs import Trace, traces
from pipetrace.story.figures import number, plural, setting
from pipetrace.story.flow import shown
from pipetrace.story.forwards import Forward
from pipetrace.tracefile import Recording

MISSING = "–"
MOST = 40
"""A table of more rows is cut, and says so."""
Told = dict[str, str]
"""Values in words, by what they are values of."""


@dataclass(frozen=True)
class Pair:
    """Two recordings; their trainings are paired in the order in which they began."""

    a: Recording
    b: Recording

    @cached_property
    def forwards(self) -> tuple[Forward | None, Forward | None]:
        """The forward of each that its page shows: the first training one, else the first."""
        return shown(self.a), shown(self.b)

    @cached_property
    def trainings(self) -> tuple[tuple[Trace | None, Trace | None], ...]:
        """The trainings of both; None where one run has fewer."""
        return tuple(zip_longest(traces(self.a), traces(self.b)))

    def training(self, index: int) -> str:
        """Name a training in a sentence, where there are several."""
        return f" of training {index + 1}" if len(self.trainings) > 1 else ""


@dataclass(frozen=True)
class Finding:
    """Whether the runs are equal in one respect, in words; None where that is not known."""

    label: str
    equal: bool | None
    words: str
    until: str = ""
    """Where they part, to follow "equal until", where `words` do not say it."""


def same(first: object, second: object) -> bool:
    """Tell whether two values are equal; NaN equals NaN.

    >>> same(float("nan"), float("nan")), same(1.0, 1), same(None, 0.0)
    (True, True, False)
    """
    return first == second or (first != first and second != second)


def apart(first: float | None, second: float | None) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to tell them apart, five at least.

    Numbers that a person has written stay as they are.

    >>> apart(0.9123412, 0.9124021), apart(1 / 3, 1 / 3 + 1e-9), apart(0.1, 0.05)
    (('0.91234', '0.91240'), ('0.333333333', '0.333333334'), ('0.1', '0.05'))
    >>> apart(None, float("nan"))
    ('–', 'NaN')
    """
    numbers = [value for value in (first, second) if value is not None and math.isfinite(value)]
    texts = [setting(value) for value in numbers]
    written = all(float(text) == value for text, value in zip(texts, numbers, strict=True))
    for digits in () if written else range(5, 18):
        texts = [f"{value:#.{digits}g}".rstrip(".") for value in numbers]
        if len(set(texts)) == 2 or len(set(numbers)) < 2:
            break
    finite = iter(texts)
    one, two = (
        MISSING if value is None else next(finite) if math.isfinite(value) else number(value)
        for value in (first, second)
    )
    return one, two


def against(first: float | None, second: float | None) -> str:
    """Write two numbers that differ.

    >>> against(0.1, 0.05)
    '0.1 against 0.05'
    """
    return " against ".join(apart(first, second))


def differing(a: Told, b: Told) -> list[tuple[str, str, str]]:
    """Return what two runs tell differently: label, A's words, B's words.

    >>> differing({"seed": "0", "lr": "0.1"}, {"seed": "0", "batch": "8"})
    [('lr', '0.1', '–'), ('batch', '–', '8')]
    """
    found = ((key, a.get(key, MISSING), b.get(key, MISSING)) for key in {**a, **b})
    return [row for row in found if row[1] != row[2]]


def table(
    heads: Sequence[str], rows: Sequence[tuple[str, ...]], numbers: Iterable[int] = (),
    caption: str = "",
) -> Table:  # fmt: skip
    """Make a table whose columns at these places are numbers; a long one is cut and says so."""
    right = set(numbers)
    if len(rows) > MOST:
        cut = f"the first {MOST} of {plural(len(rows), 'row')}"
        caption = f"{caption}: {cut}" if caption else f"T{cut[1:]}"
    return Table(
        heads=tuple(Head(label=label, number=at in right) for at, label in enumerate(heads)),
        rows=tuple(rows[:MOST]),
        caption=caption,
    )
