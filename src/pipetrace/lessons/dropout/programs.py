"""Programs of a challenge as code to execute: where they stop, and whether a line mends them."""

from __future__ import annotations

import textwrap
from random import Random

from pipetrace.lessons.drafts import Option, claim, result

_STOPS = """\
import traceback
source = '''
{program}
'''
try:
    exec(compile(source, "program", "exec"), {{"torch": torch, "nn": nn, "F": F}})
    line, words = 0, "no error"
except Exception as error:
    frames = traceback.extract_tb(error.__traceback__)
    line = [frame.lineno for frame in frames if frame.filename == "program"][-1] - 1
    words = f"{{type(error).__name__}}: {{error}}".partition(". ")[0].rstrip(".")
"""
_MENDS = """\
try:
{program}
    mended = bool({check})
except Exception:
    mended = False
mended
"""


def stopping(lines: list[str], wrong: int, beliefs: dict[int, tuple[str, str]]) -> list[Option]:
    """Make four options, "Line 1" and so on: at which one an executed program stops.

    Args:
        lines: of the program.
        wrong: the line that raises, from 1.
        beliefs: for each line that somebody might blame, the misconception and what is so.
    """
    executed = _STOPS.format(program="\n".join(lines))
    return [
        claim(
            f"Line {line}",
            f"{executed}line == {line}",
            "Here the error comes up." if line == wrong else beliefs[line][1],
            correct=line == wrong,
            misconception="" if line == wrong else beliefs[line][0],
        )
        for line in sorted({wrong, *beliefs})
    ]


def stopped(lines: list[str]) -> str:
    """Return code that comes to the error of a program, in words."""
    return f"{_STOPS.format(program=chr(10).join(lines))}words"


def numbered(lines: list[str]) -> str:
    """Write the number of each line behind it.

    >>> print(numbered(["x = 1", "y = 20"]))
    x = 1   # line 1
    y = 20  # line 2
    """
    width = max(len(line) for line in lines)
    return "\n".join(f"{line:{width}}  # line {i}" for i, line in enumerate(lines, start=1))


def mending(
    program: str, gap: str, check: str, lines: list[tuple[str, str, str]]
) -> tuple[Option, ...]:
    """Make options that put a line in the place of a gap, run the program and check it.

    Args:
        program: with the gap's text on a line of its own.
        gap: the line to be replaced.
        check: an expression that is true of a sound program.
        lines: replacement, feedback and misconception; the first one mends it and has none.
    """
    options = []
    for line, feedback, belief in lines:
        run = "\n".join(
            each.replace(gap, line) if each.strip() == gap else each
            for each in program.rstrip().splitlines()
        )
        options.append(
            claim(
                f"`{line}`",
                _MENDS.format(program=textwrap.indent(run, "    "), check=check).rstrip(),
                feedback,
                correct=not belief,
                misconception=belief,
            )
        )
    return tuple(options)


def guesses(
    random: Random, truth: object, found: list[tuple[object, str, str]], count: int = 3
) -> list[Option]:
    """Draw results that differ from the truth and from each other, each with its belief."""
    taken: dict[str, Option] = {}
    for value, feedback, belief in random.sample(found, len(found)):
        if value != truth and str(value) not in taken and len(taken) < count:
            taken[str(value)] = result(str(value), feedback, misconception=belief)
    return list(taken.values())
