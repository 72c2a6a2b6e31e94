"""Three wrong results are drawn that nobody could take for the key, or for each other."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from pipetrace.lessons.drafts import Option, claim, number, result


class Wrong(NamedTuple):
    """A wrong road: its code, what that comes to, what is really so, and what leads there."""

    code: str
    value: object
    feedback: str
    belief: str


def three(
    random: Random, key: object, wrong: Sequence[Wrong], text: str = "{outcome}"
) -> tuple[Option, ...] | None:
    """Draw three wrong results whose texts differ from the key's and from each other's.

    Args:
        random: of the choice.
        key: what the right option comes to.
        wrong: three or more ways to go wrong.
        text: of each option.

    Returns:
        The options, or None where fewer than three differ.
    """
    taken: set[str] = {_plain(key)}
    found: list[Option] = []
    for each in random.sample(wrong, len(wrong)):
        if _plain(each.value) in taken or len(found) == 3:
            continue
        taken.add(_plain(each.value))
        found.append(result(each.code, each.feedback, misconception=each.belief, text=text))
    return tuple(found) if len(found) == 3 else None


def raising_line(lines: Sequence[str], line: int, feedback: str, belief: str = "") -> Option:
    """Make an option that says which line of a program, from 1, is the first to raise.

    Args:
        lines: the program.
        line: what the option says.
        feedback: what is really so.
        belief: the misconception that leads here; empty for the key.
    """
    code = (
        f"lines = {list(lines)!r}\n"
        "names = {'torch': torch, 'nn': nn, 'F': F}\n"
        "raised = 0\n"
        "for line, text in enumerate(lines, 1):\n"
        "    try:\n"
        "        exec(text, names)\n"
        "    except Exception:\n"
        "        raised = line\n"
        "        break\n"
        f"raised == {line}"
    )
    return claim(f"Line {line}", code, feedback, correct=not belief, misconception=belief)


def numbered(lines: Sequence[str]) -> str:
    r"""Write a program with the numbers of its lines.

    >>> numbered(["x = 1", "y = x"])
    '1  x = 1\n2  y = x'
    """
    return "\n".join(f"{line}  {text}" for line, text in enumerate(lines, 1))


def _plain(value: object) -> str:
    """Write a value so that equal numbers are equal texts, as `2` and `2.0`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(float(value))
    return str(value)
