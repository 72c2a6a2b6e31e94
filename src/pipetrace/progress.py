"""`pipetrace progress`: what a learner did, and how to take it along or to begin anew."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipetrace import printing
from pipetrace.errors import PipetraceError

if TYPE_CHECKING:
    from pipetrace.learner.log import Log


@click.command(
    short_help="Print what you have learned, and what to practise next.",
    epilog="\b\npipetrace progress\npipetrace progress dropout --json"
    "\npipetrace progress --export answers.json",
)
@click.argument("lesson", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, and nothing else.")
@click.option("--export", "export", metavar="PATH",
              type=click.Path(dir_okay=False, path_type=Path),
              help="Write all that was kept, of all lessons, as a JSON document.")  # fmt: skip
@click.option("--where", is_flag=True, help="Print where the file with your answers is.")
@click.option("--reset", is_flag=True,
              help="Begin anew, with LESSON or all; a copy stays beside the file.")  # fmt: skip
@click.option("--delete", is_flag=True, help="Delete the file and the copies beside it.")
@click.option("--yes", is_flag=True, help="With --reset or --delete: do not ask.")
def progress(
    lesson: str | None, as_json: bool, export: Path | None, where: bool, reset: bool,
    delete: bool, yes: bool,
) -> Callable[[], int]:  # fmt: skip
    """Print what you did of each lesson, or of LESSON: answers, tests, cards, what comes next.

    Answers are kept in a file of your own, in the system's folder for a user's data or in the one
    that PIPETRACE_DATA names. It never leaves this machine by itself.
    """
    asked = {"--json": as_json, "--export": export is not None, "--where": where,
             "--reset": reset, "--delete": delete}  # fmt: skip
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are different things: leave out all but "
                               "one")  # fmt: skip
    if yes and not (reset or delete):
        raise click.UsageError("--yes answers what --reset and --delete ask")
    if lesson is not None and (export is not None or where or delete):
        raise click.UsageError(f"{chosen[0]} is about the file of all lessons: leave out {lesson}")

    def later() -> int:
        from pipetrace.learner.log import Log

        log = Log()
        if where:
            print(log.path, flush=True)
        elif export is not None:
            count = log.export(export)
            print(f"{export}: {count} {'event' if count == 1 else 'events'}", flush=True)
        elif reset or delete:
            return _anew(log, lesson, delete=delete, yes=yes)
        else:
            _show(log, lesson, as_json)
        return 0

    return later


def _show(log: Log, lesson: str | None, as_json: bool) -> None:
    import msgspec

    from pipetrace.learner.account import accounts
    from pipetrace.story import progress as story
    from pipetrace.views import terminal

    found = accounts(log.events(), int(time.time() * 1000))
    if lesson is not None:
        known = ", ".join(account.lesson for account in found)
        found = [account for account in found if account.lesson == lesson]
        if not found:
            there = f"There are answers for: {known}." if known else "There are no answers yet."
            raise PipetraceError(f"{lesson}: you have not answered anything there. {there}")
    if as_json:
        printing.write(json.dumps(msgspec.to_builtins(found), indent=1) + "\n")
        return
    terminal.show(story.page(found), file=sys.stdout)
    sys.stdout.flush()


def _anew(log: Log, lesson: str | None, *, delete: bool, yes: bool) -> int:
    what = f"what you did of {lesson}" if lesson else "all that you did, of all lessons"
    kept = "This cannot be undone." if delete else "A copy stays beside the file."
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            flag = "--delete" if delete else "--reset"
            raise PipetraceError(
                f"There is nobody to ask whether {what} may go. If it may: {flag} --yes"
            )
        verb = "Delete" if delete else "Take out"
        if not click.confirm(f"{verb} {what}? {kept}"):
            print("Nothing was changed.", flush=True)
            return 1
    if delete:
        said = [f"deleted  {path}" for path in log.delete()]
        print(*said or ["There was nothing to delete."], sep="\n", flush=True)
        return 0
    copy = log.reset(lesson)
    print("There was nothing to take out." if copy is None else f"copy  {copy}", flush=True)
    return 0
