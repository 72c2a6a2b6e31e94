"""How hard a question is starts as its author says, and moves with the answers to it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from pipetrace.learned import Answer

START = {"easy": -1.0, "medium": 0.0, "hard": 1.0}
"""Where a level begins, in logits: who answers half of the medium ones right, answers 73 % of the
easy ones right and 27 % of the hard ones."""
SPREAD = 0.7
"""How far a question is from its level: two of three are within so many logits, and half a step
between two levels is 0.5."""
ABLE = 1.0
"""The same for the learner, of whom nothing is known at first."""
LEARNING = 0.1
"""The share of the ability's move that never shrinks: the learner learns, a question does not."""
ENOUGH = 5
"""First answers to draws of a template before its level may change."""


class _Estimate(msgspec.Struct):
    """A number in logits, and of how many answers it is made."""

    value: float
    spread: float
    answers: int = 0

    @property
    def variance(self) -> float:
        """What is left of the variance: an answer carries a quarter of a logit⁻² at most."""
        return 1 / (1 / self.spread**2 + self.answers / 4)

    def move(self, surprise: float, least: float = 0.0) -> None:
        self.value += max(self.variance, least) * surprise
        self.answers += 1


class Difficulty:
    """How hard each template is for this learner, from the answers so far.

    The model is Rasch's: who has the ability a answers a question of the difficulty d right with
    the probability 1 / (1 + exp(d - a)). Both move with each answer, as the ratings of chess
    players do after a game: by the surprise, which is 1 or 0 (right or wrong) minus that
    probability, times a gain. The ability rises by it, the difficulty falls. The gain is the
    variance that is left of the number, 1 / (1 / s² + n / 4) after n answers with the spread s at
    first: 0.49 and 1 at the beginning, so that one answer moves a difficulty by 0.25 where both
    outcomes were as likely, and about 4 / n later. The ability's gain does not fall below 0.1.

    Only the first answer to each draw (form) of a template counts. Another draw has other numbers,
    or only another order and other wrong options where a template has few.

    Sources: G. Rasch, Probabilistic models for some intelligence and attainment tests (1960);
    A. E. Elo, The rating of chessplayers (1978); R. Pelánek, Applications of the Elo rating system
    in adaptive educational systems, Computers & Education 98 (2016), 169-179, on gains that fall
    with the number of answers.
    """

    def __init__(self, answers: Iterable[Answer]) -> None:
        """Learn from answers, in the order in which they were given."""
        self._able = _Estimate(0.0, ABLE)
        self._items: dict[str, _Estimate] = {}
        for answer in first(answers):
            item = self._items.setdefault(
                answer.question, _Estimate(START.get(answer.level, 0.0), SPREAD)
            )
            surprise = answer.right - 1 / (1 + math.exp(item.value - self._able.value))
            item.move(-surprise)
            self._able.move(surprise, LEARNING)

    def of(self, template: str, level: str) -> float:
        """Return how hard a template is, in logits; its level's beginning if never answered."""
        item = self._items.get(template)
        return START.get(level, 0.0) if item is None else item.value

    def ability(self) -> float:
        """Return what the learner can do, in logits: 0 is half of the medium questions."""
        return self._able.value

    def level(self, template: str, level: str) -> str:
        """Return the level that a template has for this learner.

        It is the author's until there are 5 answers; then it is another one once the difficulty is
        further beyond the middle between two levels than the standard deviation that is left.
        """
        item = self._items.get(template)
        if item is None or item.answers < ENOUGH or level not in START:
            return level
        moved = item.value - START[level]
        sure = math.copysign(max(0.0, abs(moved) - math.sqrt(item.variance)), moved)
        value = START[level] + sure
        return min(START, key=lambda name: (abs(START[name] - value), name != level))


def first(answers: Iterable[Answer]) -> list[Answer]:
    """Return the first answer to each draw (form) of each question, in their order.

    Two draws of one template can read alike: what was said is not kept with an answer. In a
    test an answer may be changed until its end: there the last one stands for the first.
    """
    seen: dict[tuple[str, str, int], Answer] = {}
    for answer in answers:
        known = seen.setdefault((answer.lesson, answer.question, answer.form), answer)
        if answer.sitting and answer.sitting == known.sitting:
            seen[answer.lesson, answer.question, answer.form] = answer
    return list(seen.values())
