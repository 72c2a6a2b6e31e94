"""A draft is a question as plain data: what to ask, and what to execute before it may be asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from pipetrace.errors import PipetraceError

_FIELD = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class LessonError(PipetraceError):
    """A template that is wrong whatever the run: an unknown name, no key, a duplicate id."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option: `text` and `feedback` may name `{outcome}` and every name of the draft."""

    text: str
    code: str
    """What is executed for it, with torch, nn and F at hand and the generator at seed 0."""
    feedback: str
    correct: bool = False
    misconception: str = ""
    """Id of the registered misconception that leads here; every distractor has one."""
    raises: str = ""
    """Type of the exception that the code must raise; any other one rejects the draft."""
    expected: str = ""
    """What the code must come to: what the run recorded, or the truth of a claim."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A question before execution; texts hold `{names}` of `given` and `experiments`.

    After execution `{key}` and `{letter}` are the right option's text and letter. Names are filled
    in one pass, so that braces in the user's own names do no harm.
    """

    text: str
    options: tuple[Option, ...]
    code: str = ""
    given: Mapping[str, str] = {}
    """What the run recorded, as text."""
    experiments: Mapping[str, str] = {}
    """Code whose outcome is filled in under the name."""
    steps: tuple[str, ...] = ()
    answer: str = ""
    check: str = ""
    hint: str = ""
    mistakes: tuple[str, ...] = ()
    id: str = ""
    group: str = ""
    level: str = ""
    subject: str = ""
    """The registry writes id, group, level and subject."""
    place: str = ""
    """Where on the page the answer can be seen: `flow`, `training`; else that of the template."""
    form: int = 0


def claim(
    text: str, code: str, feedback: str, *, correct: bool = False, misconception: str = ""
) -> Option:
    """Make an option whose code comes to True where the claim holds, and to False elsewhere."""
    return Option(
        text=text,
        code=code,
        feedback=feedback,
        correct=correct,
        misconception=misconception,
        expected=str(correct),
    )


def result(
    code: str,
    feedback: str,
    *,
    correct: bool = False,
    misconception: str = "",
    expected: str = "",
    text: str = "{outcome}",
) -> Option:
    """Make an option whose text is what its code comes to."""
    return Option(
        text=text,
        code=code,
        feedback=feedback,
        correct=correct,
        misconception=misconception,
        expected=expected,
    )


def fill(text: str, names: Mapping[str, str]) -> str:
    """Put values in the place of `{names}`, in one pass.

    Raises:
        LessonError: the text names what nobody gave.

    >>> fill("{x} became {outcome}", {"x": "0.5", "outcome": "0.7143"})
    '0.5 became 0.7143'
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in names:
            raise LessonError(
                f"the text {text!r} names {{{name}}}; known are: {', '.join(sorted(names))}."
            )
        return names[name]

    return _FIELD.sub(value, text)


def number(value: float) -> str:
    """Write a number as executed outcomes are written: at most 4 decimals.

    >>> number(0.5 / 0.7), number(192), number(-0.00001), number(2.0)
    ('0.7143', '192', '0.0', '2.0')
    """
    if isinstance(value, int):
        return str(value)
    return str(round(value, 4) + 0.0) if math.isfinite(value) else str(value)


def literal(values: float | Sequence[float]) -> str:
    """Write finite numbers as Python source: the only way recorded facts enter executed code.

    Raises:
        LessonError: a value is not a finite number.

    >>> literal([0.5, 2]), literal(0.3)
    ('[0.5, 2]', '0.3')
    """
    if isinstance(values, (list, tuple)):
        return f"[{', '.join(literal(value) for value in values)}]"
    if not isinstance(values, (int, float)) or not math.isfinite(values):
        raise LessonError(f"expected a finite number to execute with, got {values!r}.")
    return repr(values)
