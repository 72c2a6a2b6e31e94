"""The terminal quiz asks, grades, explains and stops when told."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from pipetrace import blocks
from pipetrace.blocks import Page, Question
from pipetrace.views import demo, quiz

QUESTIONS = [
    value
    for section in demo.page().sections
    for value in section.blocks
    if isinstance(value, Question)
]


def reader(*lines: str) -> Callable[[str], str]:
    """Answer with these lines, then end."""
    waiting: Iterator[str] = iter(lines)

    def read(prompt: str) -> str:
        assert "A-D" in prompt
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    return read


def play(*lines: str, questions: list[Question] = QUESTIONS) -> tuple[tuple[int, int], str]:
    file = io.StringIO()
    console = Console(file=file, width=80, color_system=None)
    return quiz.ask(questions, reader(*lines), console), file.getvalue()


@pytest.mark.parametrize(
    ("lines", "score"),
    [
        (("d", "A"), (2, 2)),
        ((" D ", "b"), (1, 2)),
        (("a", "b"), (0, 2)),
        (("d", "q"), (1, 1)),
        (("d",), (1, 1)),
        ((), (0, 0)),
        (("h", "x", "", "d", "a"), (2, 2)),
    ],
)
def test_scores(lines: tuple[str, ...], score: tuple[int, int]):
    assert play(*lines)[0] == score


def test_the_hint_comes_when_asked():
    hint = QUESTIONS[0].hint
    assert hint not in play("d")[1]
    assert hint in play("h", "d")[1]


def test_a_wrong_answer_gets_its_feedback_and_the_solution():
    shown = play("c", "q")[1]
    assert "✗ Not right. 0.5 × 0.7 shrinks; dropout divides." in shown
    assert "✓ D is right." in shown
    for words in ("1. p = 0.3", "Final answer: 0.7143", "Quick check:", "Common mistake:"):
        assert words in shown


def test_the_key_is_not_shown_before_the_answer():
    asked = play()[1]
    assert "0.5 / 0.7" not in asked
    assert "Taking p" not in asked


def test_a_question_without_options_is_left_out():
    empty = Question(id="e", level="", text="?", options=())
    assert play("d", "a", questions=[empty, *QUESTIONS])[0] == (2, 2)


def test_hostile_text_is_only_text(hostile: Page):
    questions = [
        value
        for section in hostile.sections
        for value in section.blocks
        if isinstance(value, blocks.Question)
    ]
    shown = play("h", "a", "b", questions=questions)[1]
    assert not set(shown) & set("\x00\x07\x1b\x9b\u202e\ud800")
