"""The program with a silent bug and the mended one are run under the check that finds it."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

from pipetrace.checks import judge
from pipetrace.checks.findings import Finding
from pipetrace.checks.registry import Rule
from pipetrace.errors import PipetraceError
from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.taught import Bug
from pipetrace.probes.execute import apart
from pipetrace.session import Session

KINDS = ("fires", "silent")


def rule(id: str) -> Rule:
    """Return a rule by its id.

    Raises:
        LessonError: there is none.
    """
    for each in judge.every_rule():
        if each.id == id:
            return each
    raise LessonError(f"there is no rule {id!r}: `pipetrace rules` lists them.")


def check(id: str) -> Bug:
    """Run both programs of a rule and return what was found.

    Raises:
        LessonError: the rule finds nothing in the program that has its bug.
    """
    asked = rule(id)
    found = findings(asked, "fires")
    if not found:
        raise LessonError(f"{id} finds nothing in its own program any more.")
    first = found[0]
    return Bug(
        rule=id, title=asked.title, why=asked.why, code=_untold(asked.fires), mended=asked.silent,
        message=first.message, evidence=first.evidence, fix=first.fix, line=first.line,
        left=len(findings(asked, "silent")),
    )  # fmt: skip


def findings(asked: Rule, kind: str) -> list[Finding]:
    """Run one of a rule's programs, and return what the rule finds in it.

    Args:
        asked: The rule.
        kind: `fires` or `silent`.

    Raises:
        PipetraceError: the program raised.
    """
    program = f"ptr{asked.id[3:]}_{kind}.py"
    path = Path(__file__).parents[1] / "examples" / "rules" / program
    session = Session(path.stem, "script", path=str(path), checking=True, lean=True)
    with _as_script(path), apart(0):
        session.begin()
        try:
            runpy.run_path(str(path), run_name="__main__")
        except Exception as error:
            raise PipetraceError(f"{program}: {type(error).__name__}: {error}") from error
        finally:
            session.end()
    found = judge.judge(session.close())
    return [each for each in found if each.id == asked.id]


def _untold(code: str) -> str:
    """Replace the docstring, which says what the bug is, by one of as many lines."""
    told = re.match(r'""".*?"""', code, re.DOTALL)
    if told is None:
        return code
    lines = told.group().count("\n")
    return '"""A program with a silent bug.' + "\n" * lines + '"""' + code[told.end() :]


@contextlib.contextmanager
def _as_script(path: Path) -> Iterator[None]:
    words, main = sys.argv, sys.modules["__main__"]
    sys.argv = [str(path)]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.argv, sys.modules["__main__"] = words, main
