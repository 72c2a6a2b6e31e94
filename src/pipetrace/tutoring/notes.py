"""What a learner does in the terminal becomes events, of the same kinds as on a page."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from msgspec.structs import replace
from rich.console import Console

from pipetrace.blocks import Card, Exam, Question
from pipetrace.learned import Answer, Event, Reached, Review, Sitting
from pipetrace.learner.verdict import verdict
from pipetrace.views import sitting

Reader = Callable[[str], str]


class Notes:
    """Notes what one learner does in one lesson.

    Args:
        lesson: The lesson's id, or what a run's page is called.
        keep: Called with every event.
    """

    def __init__(self, lesson: str, keep: Callable[[Event], None]) -> None:
        self._lesson, self._keep = lesson, keep

    def answered(self, question: Question, chosen: int, sat: str = "") -> None:
        """Note an answer; `sat` names the test that it was given in."""
        option = question.options[chosen]
        self._keep(
            Answer(
                lesson=self._lesson, at=now(), question=question.id, form=question.form,
                option=chosen, right=option.correct, level=question.level,
                misconception=option.misconception, sitting=sat,
            )
        )  # fmt: skip

    def reviewed(self, card: Card, rating: int) -> None:
        """Note how well a card was remembered."""
        self._keep(Review(lesson=self._lesson, at=now(), card=card.id, rating=rating))

    def reached(self, experiment: str, choices: tuple[int, ...]) -> None:
        """Note that the experiment of this section reached its target."""
        self._keep(Reached(lesson=self._lesson, at=now(), experiment=experiment, choices=choices))

    def examine(self, exam: Exam, form: int, reader: Reader, console: Console) -> None:
        """Let the learner sit one form of a test; one that is not ended stays begun."""
        begun = Sitting(
            lesson=self._lesson, at=now(), sitting=f"{exam.id}-{uuid.uuid4().hex}", form=form
        )
        self._keep(begun)
        given = sitting.sit(
            exam, form, reader, console,
            lambda question, chosen: self.answered(question, chosen, begun.sitting),
        )  # fmt: skip
        if len(given) < len(exam.forms[form]):
            return
        right = [question for question, chosen in given if question.options[chosen].correct]
        hard = sum(question.level == "hard" for question in right)
        said = verdict(len(right), hard, strong=exam.strong, least=exam.hard, growing=exam.growing)
        self._keep(
            replace(begun, at=now(), right=len(right), total=len(given), hard=hard, verdict=said)
        )
        sitting.tell(exam, given, said, console)


def now() -> int:
    """Return the time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
