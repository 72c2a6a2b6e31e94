"""Questions that stood their execution become blocks that a view can grade."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from pipetrace.blocks import Exam, Option
from pipetrace.blocks import Question as QuestionBlock
from pipetrace.learner import verdict
from pipetrace.lessons.registry import EXAM, LEVELS
from pipetrace.records import Choice, Op, Question
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

_RAISED = re.compile(r"([A-Z]\w*(?:Error|Exception)): ")
"""How the outcome of code begins that raised."""

_SHOWN = 8
"""Lines of executed code that are shown: more of them bury the sentence that explains."""


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


@section(id="exam", title="Test", order=72)
def test(recording: Recording) -> Content | None:
    """Test what the quiz and the practice are about, over easy, medium and hard."""
    form = [question for question in recording.all(Question) if question.group == "test"]
    made = exam("run", [form])
    intro = "Ten questions, graded together: the verdict comes with its 95 % interval."
    return None if made is None else Content((made,), intro)


def exam(id: str, forms: Sequence[Sequence[Question]]) -> Exam | None:
    """Make a test of parallel forms; None where there is not enough to ask.

    Args:
        id: Names the test in what is recorded of it.
        forms: The questions of each form.
    """
    whole = [form for form in forms if len(form) == sum(EXAM.values())]
    if not whole:
        return None
    asked = list({(each.id, each.form): each for form in whole for each in form}.values())
    total = len(whole[0])
    hard = min(sum(each.level == LEVELS[-1] for each in form) for form in whole)
    return Exam(
        id=id,
        title=f"Test of {total} questions",
        questions=tuple(map(block, asked)),
        forms=tuple(tuple(asked.index(each) for each in form) for form in whole),
        intervals=tuple(verdict.interval(right, total) for right in range(total + 1)),
        strong=verdict.STRONG,
        hard=min(verdict.HARD, hard),
        growing=verdict.GROWING,
    )


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


def _constant(code: str) -> bool:
    """Tell whether code is no more than a value: that it gives itself shows nothing.

    >>> _constant("[1.0, True]"), _constant("-2.5"), _constant("1 + 1")
    (True, True, False)
    """
    try:
        ast.literal_eval(code)
    except (ValueError, SyntaxError):
        return False
    return True


def _feedback(choice: Choice) -> str:
    """Append the executed code and its outcome, on one line where the code is a plain sequence.

    >>> _feedback(Choice(text="1", correct=True, feedback="Yes.", executed="1 + 0", outcome="1"))
    'Yes. Executed: `1 + 0` gives 1.'
    """
    if not choice.executed:
        return choice.feedback
    lines = choice.executed.splitlines()
    outcome = choice.outcome.rstrip(".") or "nothing"
    if _constant(choice.executed):
        return choice.feedback
    if len(lines) > _SHOWN:
        return f"{choice.feedback} Executed, {len(lines)} lines of code: it gives {outcome}."
    if any("#" in line or line.startswith((" ", "for ", "def ", "with ")) for line in lines):
        return f"{choice.feedback} Executed:\n{choice.executed}\nIt gives {outcome}."
    return f"{choice.feedback} Executed: `{'; '.join(lines)}` gives {outcome}."
