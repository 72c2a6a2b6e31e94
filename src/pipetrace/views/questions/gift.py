"""Questions in GIFT, the plain text that Moodle and others import."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipetrace.blocks import Option, Question
from pipetrace.views import text
from pipetrace.views.questions import texts

_SPECIAL = re.compile(r"([\\~=#{}:])")

_FIRST = re.compile(r"^[%\[]")
"""What begins a weight or a format where an option begins with it."""


def render(questions: Sequence[Question], title: str) -> str:
    """Write questions in GIFT: feedback for each option, the solution as general feedback.

    GIFT has no place for a hint, so it stands before the solution. Identifier and level are written
    as Moodle reads them, in a comment before the question.

    Args:
        questions: The questions.
        title: What they are about; a comment on the first line.
    """
    parts = [f"// {text.line(texts.visible(title))}"]
    parts += [_question(question) for question in questions]
    return "\n\n".join(parts) + "\n"


def escaped(value: str) -> str:
    r"""Put a backslash before every character that GIFT would obey; a new line becomes `\n`.

    >>> print(escaped("{x} = 1"))
    \{x\} \= 1
    """
    return _SPECIAL.sub(r"\\\1", value).replace("\n", r"\n")


def _question(question: Question) -> str:
    tags = "".join(f" [tag:{tag}]" for tag in ("pipetrace", texts.tag(question.level)) if tag)
    after = texts.hint(question) + texts.solution(question)
    lines = [
        f"// [id:{texts.key(question)}]{tags}",
        f"::{escaped(texts.name(question))}::[html]{escaped(texts.asked(question))} {{",
        *(_option(option) for option in question.options),
        *([f"####{escaped(after)}"] if after else []),
        "}",
    ]
    return "\n".join(lines)


def _option(option: Option) -> str:
    sign = "=" if option.correct else "~"
    words = _FIRST.sub(lambda match: f"&#{ord(match[0])};", texts.inline(option.text))
    return f"{sign}{escaped(words)}#{escaped(texts.feedback(option))}"
