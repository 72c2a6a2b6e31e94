"""Practice, challenges, the test and the cards of a lesson, from what was drawn and executed."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Card, Cards
from pipetrace.lessons import select
from pipetrace.lessons.answering import outcome_text
from pipetrace.lessons.content import filled
from pipetrace.lessons.registry import EXAM, LEVELS
from pipetrace.lessons.taught import Taught
from pipetrace.records import Question
from pipetrace.story import questions

CHALLENGES = {"easy": 1, "medium": 2, "hard": 2}
FORMS = 6
"""Parallel forms of the test, where there are questions enough."""


def practice(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return five questions: easy, easy, medium, medium, hard."""
    return tuple(map(questions.block, _practice(taught)))


def challenges(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return five pieces of code to read or to mend."""
    return tuple(map(questions.block, _challenges(taught)))


def exam(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return the test: its forms share no question as long as there are enough."""
    shown = {each.id for each in (*_practice(taught), *_challenges(taught))}
    # The quiz of the run's own page stands in mode Practice, too.
    shown |= {each.id for each in taught.recording.all(Question) if each.group == "quiz"}
    left = [each for each in taught.bank if each.id not in shown]
    count = max(1, min(FORMS, len(left) // sum(EXAM.values())))
    forms = select.exams(left, count, taught.seed)
    # Of another draw the same form has other questions: a test that was begun goes on in its own.
    made = questions.exam(f"{taught.lesson.id}-{taught.seed}", forms)
    return () if made is None else (made,)


def cards(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return the cards, with the facts of the run, and what their code came to."""
    facts = taught.facts()
    made = []
    for text in taught.lesson.cards:
        front, back = filled(text.front, facts), filled(text.back, facts)
        if front is None or back is None:
            continue
        outcome = taught.cards.get(text.id)
        said = "" if outcome is None else outcome_text(outcome)
        made.append(Card(id=text.id, front=front, back=back, code=text.code, outcome=said))
    if not made:
        return ()
    return (Cards(title=taught.lesson.about.title, cards=tuple(made), weights=taught.weights),)


def _practice(taught: Taught) -> list[Question]:
    return _chosen(taught, "practice", select.PRACTICE)


def _challenges(taught: Taught) -> list[Question]:
    return _chosen(taught, "challenge", CHALLENGES)


def _chosen(taught: Taught, group: str, counts: dict[str, int]) -> list[Question]:
    """Choose of a group so many of each level; the bank is in random order already."""
    found: list[Question] = []
    of_group: Sequence[Question] = [each for each in taught.bank if each.group == group]
    for level in LEVELS:
        of_level = [each for each in of_group if each.level == level]
        found += of_level[: counts.get(level, 0)]
    return found
