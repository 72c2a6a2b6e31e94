"""What a test is worth: a verdict, the interval of its share, and what to practise next."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from pipetrace.learned import Answer

STRONG = 8
HARD = 2
"""Of the three hard questions of a test."""
GROWING = 6

_Z = 1.959963984540054
"""Between -z and z lie 95 % of a normal distribution."""


class Weakness(msgspec.Struct, frozen=True, kw_only=True):
    """Something to practise."""

    id: str
    """A misconception's id; that of the question where no misconception leads to the answer."""
    wrong: int
    """How many wrong answers point to it."""
    questions: tuple[str, ...]
    """The questions in which it showed."""
    misconception: bool


def interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of the share of right answers, after Wilson.

    With p the share, n the number of answers and z = 1.96, its ends are

        (p + z²/2n ± z sqrt(p (1 - p)/n + z²/4n²)) / (1 + z²/n)

    These are the two shares s from which p is just z standard errors away:
    (p - s)² = z² s (1 - s)/n. Another choice, Clopper and Pearson's, holds the true share in at
    least 95 % of tests whatever it is, and is much too wide for ten questions in most cases.
    Wilson's holds it in 95 % on average over the shares, in 90 to 98 % for one of them, and needs
    no more than a square root, so that a page computes the same.

    Args:
        right: Right answers.
        total: Answers, at least as many; with none every share is possible.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927), 209-212. Compared with others in
    L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical
    Science 16 (2001), 101-133.

    >>> [round(end, 3) for end in interval(8, 10)]
    [0.49, 0.943]
    """
    if not 0 <= right <= total:
        raise ValueError(f"{right} of {total} answers cannot be right.")
    if not total:
        return 0.0, 1.0
    share, square = right / total, _Z**2 / total
    middle = share + square / 2
    reach = math.sqrt(square * (share * (1 - share) + square / 4))
    low, high = (middle - reach) / (1 + square), (middle + reach) / (1 + square)
    return (low if right else 0.0), (high if right < total else 1.0)


def verdict(
    right: int, hard: int, *, strong: int = STRONG, least: int = HARD, growing: int = GROWING
) -> str:
    """Grade a test of ten: `strong`, `growing` or `not yet`.

    Args:
        right: Right answers.
        hard: Hard questions answered right.
        strong: As many right answers are needed to be strong.
        least: And of them as many hard ones.
        growing: As many are needed to be growing.

    >>> verdict(8, 2), verdict(9, 1), verdict(6, 0), verdict(5, 3)
    ('strong', 'growing', 'growing', 'not yet')
    """
    if right >= strong and hard >= least:
        return "strong"
    return "growing" if right >= growing else "not yet"


def next_steps(answers: Iterable[Answer]) -> tuple[Weakness, ...]:
    """Say what to practise next: what most wrong answers point to comes first.

    A wrong answer counts until the same question is answered right, whatever its numbers are then.
    It counts for its misconception, or for the question itself where no misconception leads to it.
    Among equals what went wrong last comes first.

    Args:
        answers: In the order in which they were given.
    """
    open_: dict[str, list[tuple[int, Answer]]] = {}
    for place, answer in enumerate(answers):
        if answer.right:
            open_.pop(answer.question, None)
        else:
            open_.setdefault(answer.question, []).append((place, answer))
    found: dict[tuple[bool, str], list[tuple[int, str]]] = {}
    for wrong in open_.values():
        for place, answer in wrong:
            key = bool(answer.misconception), answer.misconception or answer.question
            found.setdefault(key, []).append((place, answer.question))
    order = sorted(found.items(), key=lambda item: (-len(item[1]), -max(item[1])[0]))
    return tuple(
        Weakness(
            id=name,
            wrong=len(wrong),
            questions=tuple(sorted({question for _, question in wrong})),
            misconception=misconception,
        )
        for (misconception, name), wrong in order
    )
