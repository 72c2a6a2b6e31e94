"""Lessons: `pipetrace learn` opens one, in the browser or the terminal; `lessons` lists them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipetrace import printing
from pipetrace.errors import PipetraceError

if TYPE_CHECKING:
    from pipetrace.blocks import Event
    from pipetrace.tutoring.tutor import Tutor

Later = Callable[[], int]
_FOLDER = "pipetrace-runs"
_TICK = 0.05
_GRACE = 300.0
"""Seconds after the last reader after which a page that no terminal can end is served no more: who
reads another tab for a while comes back."""
_NO_TEST = "This run has no test: too little of it is known, or an older pipetrace recorded it."
_NO_QUESTIONS = "This run has no questions: it has no captured forward."


@click.command(
    short_help="Open a lesson on a fresh run of its example, or on your own.",
    epilog="\b\npipetrace learn\npipetrace learn dropout practice --terminal\n"
    "pipetrace learn --run pipetrace-runs/train.pipetrace",
)
@click.argument("lesson", required=False, default="dropout")
@click.argument("mode", required=False, default="")
@click.option("--run", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Teach on this run; by default the lesson's example is run.")  # fmt: skip
@click.option("--terminal", is_flag=True, help="Teach in the terminal, without a browser.")
@click.option("--output", "-o", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the lesson as one HTML file that works offline, and end.")  # fmt: skip
@click.option("--out", default=f"{_FOLDER}/lessons", metavar="DIR", show_default=True,
              type=click.Path(file_okay=False, path_type=Path),
              help="Folder for the run of the example.")  # fmt: skip
@click.option("--seed", default=None, metavar="N", type=click.IntRange(min=0, max=2**32 - 1),
              help="Of the questions; another parallel form each time by default.")  # fmt: skip
@click.option("--port", default=None, metavar="N", type=click.IntRange(0, 65_535),
              help="Where to listen; a free port by default.")  # fmt: skip
def learn(
    lesson: str, mode: str, file: Path | None, terminal: bool, output: Path | None, out: Path,
    seed: int | None, port: int | None,
) -> Later:  # fmt: skip
    """Open LESSON, dropout by default, in one of its ten MODEs.

    Modes are why, deep, trace, training, predict, metrics, checks, practice, experiment, review.
    LESSON may be a folder of your own: see docs/writing-a-lesson.md. What you answer is kept in
    your own file on this machine: `pipetrace progress` shows it.
    """
    ways = {"--terminal": terminal, "--output": output is not None, "--port": port is not None}
    chosen = [name for name, given in ways.items() if given]
    if len(chosen) > 1:
        raise click.UsageError(f"{chosen[0]} and {chosen[1]} do not go together")

    def later() -> int:
        from pipetrace.lessons.content import MODES

        name, wanted = (lesson, mode) if lesson not in MODES or mode else ("dropout", lesson)
        if wanted and wanted not in MODES:
            raise click.UsageError(f"{wanted} is no mode. Modes are: {', '.join(MODES)}.")
        if output is not None:
            printing.require_writable(output)
        if terminal:
            return _in_terminal(_tutor(name, file, out, seed), wanted)
        if output is not None:
            return _written(_tutor(name, file, out, seed), output)
        from pipetrace.serving.process import require

        require(port or 0)  # before what takes long begins
        return _served(_tutor(name, file, out, seed), wanted, out, port or 0)

    return later


@click.command(short_help="List the lessons.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def lessons(as_json: bool) -> Later:
    """List the lessons that `pipetrace learn` opens."""

    def later() -> int:
        import msgspec

        from pipetrace.lessons import folder
        from pipetrace.lessons.registry import templates

        known = folder.every()
        counts = {one.id: sum(t.lesson == one.id for t in templates()) for one in known}
        if as_json:
            listed = [
                {"id": one.id, "title": one.about.title, "words": one.about.words,
                 "questions": counts[one.id], "cards": len(one.cards)}
                for one in known
            ]  # fmt: skip
            printing.write(msgspec.json.format(msgspec.json.encode(listed), indent=1) + b"\n")
            return 0
        for one in known:
            print(f"{one.id:12} {one.about.title}: {one.about.words}")
            print(f"{'':12} {counts[one.id]} questions, {len(one.cards)} cards")
        return 0

    return later


@click.command(short_help="Ask the questions of a run, and grade the answers.")
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--test", is_flag=True,
              help="Take the test of ten questions, with a verdict at its end.")  # fmt: skip
def quiz(file: Path | None, test: bool) -> Later:
    """Ask the questions of a run FILE in the terminal, and grade the answers.

    They are those of its page: about this run, and to practise. The newest run is asked about where
    none is named.
    """

    def later() -> int:
        from rich.console import Console

        from pipetrace import api
        from pipetrace.blocks import Exam, Question
        from pipetrace.naming import asked
        from pipetrace.tutoring.notes import Notes
        from pipetrace.views import quiz as asking

        page = api.load(*asked([file] if file else [], Path(_FOLDER))[:1]).page()
        blocks = [block for section in page.sections for block in section.blocks]
        exams = [block for block in blocks if isinstance(block, Exam)]
        questions = [block for block in blocks if isinstance(block, Question)]
        if not (exams if test else questions):
            raise PipetraceError(_NO_TEST if test else _NO_QUESTIONS)
        notes = Notes(page.learner, _keep())
        if test:
            notes.examine(exams[0], 0, input, Console())
        else:
            asking.ask(questions, input, Console(), notes.answered)
        return 0

    return later


def _keep() -> Callable[[Event], None]:
    """Return what keeps an event in the learner's file, and says once where it cannot."""
    from pipetrace.learner.log import Log

    told: list[PipetraceError] = []

    def keep(event: Event) -> None:
        if told:
            return
        try:
            Log().append(event)
        except PipetraceError as error:
            told.append(error)
            print(f"pipetrace: nothing is kept of these answers. {error}", file=sys.stderr)

    return keep


def _tutor(name: str, file: Path | None, out: Path, seed: int | None) -> Tutor:
    """Run the example unless a run was named, and make of the lesson what a learner needs first."""
    from pipetrace import api
    from pipetrace.learner import schedule
    from pipetrace.learner.log import Log
    from pipetrace.lessons import folder
    from pipetrace.tutoring.tutor import Tutor, alone, run_example

    lesson = folder.named(name)
    alone()
    log = Log()
    weights = schedule.weights()
    if file is None:
        print(
            f"pipetrace: running {lesson.example.name} for the lesson", file=sys.stderr, flush=True
        )
    recording = run_example(lesson, out) if file is None else api.load(file).recording
    drawn = _seed(log.events(lesson.id), lesson.id) if seed is None else seed
    tutor = Tutor(lesson, recording, log=log, own=file is not None, seed=drawn, weights=weights)
    tutor.first()
    return tutor


def _seed(events: list[Event], lesson: str) -> int:
    """Return the seed of a test that was begun within a day and not ended, else another one."""
    from pipetrace.learned import Sitting
    from pipetrace.learner.schedule import DAY
    from pipetrace.tutoring.notes import now

    sittings = [event for event in events if isinstance(event, Sitting)]
    ended = {each.sitting for each in sittings if each.verdict}
    for each in reversed(sittings):
        word = each.sitting.removeprefix(f"{lesson}-").partition("-")[0]
        if each.sitting not in ended and now() - each.at < DAY and word.isdecimal():
            return int(word) % 2**32
    return now() % 2**32


def _in_terminal(tutor: Tutor, mode: str) -> int:
    from rich.console import Console

    from pipetrace.tutoring.lectern import Lectern

    lectern = Lectern(tutor, input, Console())
    if mode:
        lectern.show(mode)
    else:
        lectern.menu()
    return 0


def _written(tutor: Tutor, output: Path) -> int:
    from msgspec.structs import replace

    from pipetrace.views import html

    for _ in tutor.rest():
        pass
    # A file may be handed around: what this learner answered is not in it.
    printing.export(output, html.document(replace(tutor.page(), events=())))
    print(output, flush=True)
    return 0


def _served(tutor: Tutor, mode: str, out: Path, port: int) -> int:
    """Serve the page while the rest is made, until Ctrl-C, or until nobody looks at it."""
    from pipetrace.serving.process import served
    from pipetrace.tutoring.hosting import PATH, desk_of

    out.mkdir(parents=True, exist_ok=True)
    with served(desk_of(tutor, out), port, PATH) as server:
        url = f"{server.url}#on-{mode}" if mode else server.url
        print(f"pipetrace: the lesson is at {url}", file=sys.stderr)
        person = sys.stdin is not None and sys.stdin.isatty()
        ends = "Ctrl-C ends it" if person else "It ends when nobody has looked for five minutes"
        print(f"pipetrace: {ends}; what you answered is kept.", file=sys.stderr, flush=True)
        printing.open_address(url)
        started = looked = time.monotonic()
        try:
            for _ in tutor.rest():
                looked = time.monotonic() if server.readers else looked
            while person or time.monotonic() - max(looked, started) < _GRACE:
                time.sleep(_TICK)
                looked = time.monotonic() if server.readers else looked
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return 0
