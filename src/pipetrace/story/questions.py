"""Questions that stood their execution become blocks that a view can grade."""

from __future__ import annotations

import re

from pipetrace.blocks import Option
from pipetrace.blocks import Question as QuestionBlock
from pipetrace.records import Choice, Op, Question
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

_RAISED = re.compile(r"([A-Z]\w*(?:Error|Exception)): ")
"""How the outcome of code begins that raised."""


@section(id="quiz", title="Model quiz", order=60)
def quiz(recording: Recording) -> Content | None:
    """Ask about what this run did."""
    return _content(
        recording, "quiz", "Each answer, the wrong ones too, was executed when the run was made."
    )


@section(id="practice", title="Practice", order=70)
def practice(recording: Recording) -> Content | None:
    """Ask about dropout, from easy to hard, with solutions in steps."""
    intro = (
        "About dropout, from easy to hard. "
        "Each option was executed; its feedback shows the code and what it came to."
    )
    if not any(op.mask is not None for op in recording.all(Op)):
        intro += " No dropout was captured in this run: the numbers are of the questions' own code."
    return _content(recording, "practice", intro)


def block(question: Question) -> QuestionBlock:
    """Turn a recorded question into a block; feedback carries what was executed for the option."""
    return QuestionBlock(
        id=question.id,
        level=question.level,
        text=question.text,
        options=tuple(
            Option(
                text=choice.text,
                correct=choice.correct,
                feedback=_feedback(choice),
                misconception=choice.misconception,
                executed=choice.executed,
                raises=_raised(choice),
            )
            for choice in question.choices
        ),
        code=question.code,
        hint=question.hint,
        steps=question.steps,
        answer=question.answer,
        check=question.check,
        mistakes=question.mistakes,
        form=question.form,
        subject=question.subject,
        place=question.place,
    )


def _content(recording: Recording, group: str, intro: str) -> Content | None:
    asked = [question for question in recording.all(Question) if question.group == group]
    return Content(tuple(block(question) for question in asked), intro) if asked else None


def _raised(choice: Choice) -> str:
    """Name the exception that the executed code raised.

    >>> _raised(Choice(text="", correct=True, feedback="", outcome="ValueError: p is 30"))
    'ValueError'
    """
    found = _RAISED.match(choice.outcome)
    return found[1] if found else ""


def _feedback(choice: Choice) -> str:
    """Append the executed code and its outcome, on one line where the code is a plain sequence.

    >>> _feedback(Choice(text="1", correct=True, feedback="Yes.", executed="1 + 0", outcome="1"))
    'Yes. Executed: `1 + 0` gives 1.'
    """
    if not choice.executed:
        return choice.feedback
    lines = choice.executed.splitlines()
    outcome = choice.outcome.rstrip(".") or "nothing"
    if any("#" in line or line.startswith((" ", "for ", "def ", "with ")) for line in lines):
        return f"{choice.feedback} Executed:\n{choice.executed}\nIt gives {outcome}."
    return f"{choice.feedback} Executed: `{'; '.join(lines)}` gives {outcome}."
