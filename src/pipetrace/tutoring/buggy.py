"""The program with a silent bug and the mended one are run under the check that finds it."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipetrace.checks import judge, mending
from pipetrace.checks.findings import Finding
from pipetrace.checks.registry import Rule
from pipetrace.errors import PipetraceError
from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.taught import Bug
from pipetrace.probes.execute import apart
from pipetrace.session import Session

KINDS = ("fires", "mended")


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
    text = mending.mended(asked)
    if text is None:
        raise LessonError(f"{id}: its fix is another program, which cannot be shown as a change.")
    return Bug(
        rule=id, title=asked.title, why=asked.why, code=_untold(asked.fires), mended=_untold(text),
        message=first.message, evidence=first.evidence, fix=first.fix, line=first.line,
        left=len(findings(asked, "mended")),
    )  # fmt: skip


def findings(asked: Rule, kind: str) -> list[Finding]:
    """Run the program of a rule, and return what the rule finds in it.

    Args:
        asked: The rule.
        kind: `fires`, or `mended` for the program without the bug.

    Raises:
        PipetraceError: the program raised.
    """
    text = asked.fires if kind == "fires" else mending.mended(asked) or ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{asked.id.lower()}_{kind}.py"
        path.write_text(text, encoding="utf-8")
        session = Session(path.stem, "script", path=str(path), checking=True, lean=True)
        with _as_script(path), apart(0):
            session.begin()
            try:
                runpy.run_path(str(path), run_name="__main__")
            except Exception as error:
                raise PipetraceError(f"{path.name}: {type(error).__name__}: {error}") from error
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
