"""Questions as Markdown: a sheet to answer, and a key that solves it."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import Option, Question
from pipetrace.views import markdown, text
from pipetrace.views.questions import texts

escaped, fenced = markdown.escaped, markdown.fenced


def render(questions: Sequence[Question], title: str, *, key: bool = True) -> str:
    """Write questions as Markdown, with the key at the end.

    Args:
        questions: The questions, numbered in this order.
        title: The heading.
        key: Whether the key follows.
    """
    parts = [f"# {escaped(title)}"]
    # Without its key it is handed out.
    parts += [] if key else [f"Name: {'.' * 40} Date: {'.' * 15} Right: ..... of {len(questions)}"]
    parts += [markdown.block(question, number) for number, question in enumerate(questions, 1)]
    if key and questions:
        parts += ["## Answers", *solutions(questions)]
    return "\n\n".join(parts) + "\n"


def solutions(questions: Sequence[Question]) -> list[str]:
    """Solve each question in a paragraph and a list: letter, steps, and what each option came to.

    Args:
        questions: The questions, numbered in this order.
    """
    return [_solution(question, number) for number, question in enumerate(questions, 1)]


def _solution(question: Question, number: int) -> str:
    about = ", ".join(part for part in (question.subject, question.level) if part)
    note = f" ({escaped(about)})" if about else ""
    letter = texts.right(question) or "no option is right"
    lines = [f"**{number}.** **{letter}** `{texts.key(question)}`{note}", ""]
    lines += [f"- Step {at}: {escaped(step)}" for at, step in enumerate(question.steps, 1)]
    if question.answer:
        lines.append(f"- Final answer: {escaped(question.answer)}")
    if question.check:
        lines.append(f"- Quick check: {escaped(question.check)}")
    lines += [_option(option, text.letter(at)) for at, option in enumerate(question.options)]
    lines += [f"- Common mistake: {escaped(mistake)}" for mistake in question.mistakes]
    return "\n".join(lines)


def _option(option: Option, letter: str) -> str:
    before, lines, after = texts.split(option)
    sign = "✓" if option.correct else "✗"
    first = f"- **{letter}** {sign} {escaped(before)}"
    if not lines:
        return first
    block = "\n".join(f"  {line}" for line in fenced(lines, "python").splitlines())
    return f"{first}\n\n{block}\n\n  {escaped(after)}"
