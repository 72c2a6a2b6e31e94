"""`pipetrace questions`: a run's questions for the programs of teachers, and forms for a class."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from pipetrace import printing
from pipetrace.errors import PipetraceError

if TYPE_CHECKING:
    from pipetrace.blocks import Question as Block
    from pipetrace.lessons.registry import Template
    from pipetrace.lessons.select import Ask
    from pipetrace.records import Question
    from pipetrace.tracefile import Recording

Later = Callable[[], int]

_ENDINGS = {"gift": ".gift.txt", "moodle": ".xml", "qti": ".zip", "qti2": ".zip",
            "anki": ".apkg", "notebook": ".ipynb", "md": ".md"}  # fmt: skip
_MOST = 200
"""The most forms of a class."""
_APART = 1000
"""Seeds between two classes, so that one does not get the other's questions."""
_ONE_DAY = (1980, 1, 1, 0, 0, 0)


class _Wanted(NamedTuple):
    """What is written, of what, and where to."""

    form: str
    title: str
    path: Path
    named: bool
    key: bool


@click.command(
    short_help="Write the questions of a run for an LMS, Anki or a class.",
    epilog="\b\npipetrace questions --to moodle"
    "\npipetrace questions train.pipetrace --to anki --output dropout.apkg"
    "\npipetrace questions --forms 30 --seed 7 --output class-7b",
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(list(_ENDINGS)), default="md", show_default=True,
              help="Format: GIFT, Moodle XML, QTI 3.0, QTI 2.1, an Anki package, a Jupyter "
              "notebook or Markdown.")  # fmt: skip
@click.option("--output", "-o", metavar="PATH", type=click.Path(path_type=Path),
              help="Where to write; beside the run by default, - for stdout. With --forms a "
              "folder, or a file that ends in .zip.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, metavar="N",
              type=click.IntRange(min=0, max=2**31 - 1),
              help="Decides the numbers, the choice and the order.")  # fmt: skip
@click.option("--lesson", metavar="ID", help="Only the questions of one lesson, `dropout` say.")
@click.option("--count", metavar="N", type=click.IntRange(min=1),
              help="Write only N of the questions.")  # fmt: skip
@click.option("--forms", metavar="N", type=click.IntRange(min=1, max=_MOST),
              help="Write N parallel forms of ten questions for a class, and one key.")  # fmt: skip
@click.option("--no-key", "key", flag_value=False, default=True, type=bool,
              help="Of Markdown and --forms: leave the key out.")  # fmt: skip
def questions(
    file: Path | None, form: str, output: Path | None, seed: int, lesson: str | None,
    count: int | None, forms: int | None, key: bool,
) -> Later:  # fmt: skip
    """Write the questions that a run FILE can be asked, the newest if none is named.

    Every question is drawn anew by --seed, and each of its options is executed. The same run and
    seed give the same questions.
    """
    if forms is not None and count is not None:
        raise click.UsageError("A form has ten questions: leave out --count or --forms")
    if not key and forms is None and form != "md":
        raise click.UsageError("--no-key is for Markdown and --forms: the other formats hold the "
                               "key inside")  # fmt: skip
    if str(output) == "-" and (forms is not None or form in ("qti", "qti2", "anki")):
        raise click.UsageError("Only text goes to stdout: name a file with --output")

    def later() -> int:
        run = _asked(file, lesson)
        ending = "-forms" if forms else f"-questions{_ENDINGS[form]}"
        path = output or run.files[0].with_name(run.files[0].stem + ending)
        wanted = _Wanted(form, f"{run.name}: questions", path, output is not None, key)
        if forms is not None:
            return _class(wanted, run, seed, forms)
        return _whole(wanted, run, seed, count)

    return later


def parallel(
    candidates: Sequence[Template], ask: Ask, count: int, seed: int,
    tell: Callable[[object], None] | None = None,
) -> list[list[Question]]:  # fmt: skip
    """Draw forms of ten questions: three easy ones, four medium and three hard, in this order.

    Each form has a draw of its own. Templates that earlier forms used least come first, and a
    question that reads as one of theirs is left out while there is another of its level. Where a
    level has too few, its neighbours help out. Nothing is executed before its turn comes.

    Args:
        candidates: The templates to choose from.
        ask: Draws one by a seed.
        count: How many forms.
        seed: Of the class.
        tell: Is told how far it is.
    """
    from pipetrace.lessons.registry import EXAM, LEVELS

    had: Counter[object] = Counter()
    used: Counter[str] = Counter()
    forms = []
    for number in range(count):
        if tell is not None:
            tell(f"form {number + 1} of {count}")
        own = _APART * seed + number
        shuffled = Random(f"{own}/form").sample(candidates, len(candidates))
        form: dict[str, Question] = {}
        for level, needed in EXAM.items():
            near = sorted(LEVELS, key=lambda each: abs(LEVELS.index(each) - LEVELS.index(level)))
            for other in near:
                rest = [each for each in shuffled if each.level == other and each.id not in form]
                rest.sort(key=lambda each: used[each.id])
                drawn = _fresh(rest, ask, own, needed, had)
                form |= {question.id: question for question in drawn}
                needed -= len(drawn)
        had.update(map(content, form.values()))
        used.update(list(form))
        forms.append(sorted(form.values(), key=lambda each: LEVELS.index(each.level)))
    return forms


def _fresh(
    candidates: Sequence[Template], ask: Ask, seed: int, needed: int, had: Counter[object]
) -> list[Question]:
    """Ask so many, the first ones first; what was had before only where there is nothing else."""
    fresh: list[Question] = []
    again: list[Question] = []
    for template in candidates:
        if len(fresh) == needed:
            break
        question = ask(template, seed)
        if question is not None:
            (again if had[content(question)] else fresh).append(question)
    again.sort(key=lambda question: had[content(question)])
    return fresh + again[: needed - len(fresh)]


def content(question: Question) -> object:
    """Return what a question says, whatever the order of its options."""
    options = frozenset(choice.text for choice in question.choices)
    return question.id, question.text, question.code, options


def some(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """Choose a number of questions, each level in turn, and keep their order.

    Raises:
        PipetraceError: there are not so many.
    """
    if count > len(questions):
        raise PipetraceError(
            f"--count {count}: this run can be asked {len(questions)} questions. "
            f"Write {len(questions)} or less."
        )
    places = Random(f"{seed}/count").sample(range(len(questions)), len(questions))
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for turn, place in enumerate(places):
        level = questions[place].level
        turns.append((seen[level], turn, place))
        seen[level] += 1
    return [questions[place] for place in sorted(place for *_, place in sorted(turns)[:count])]


class _Run(NamedTuple):
    """A run that is asked, and the lesson that it is asked about."""

    files: Sequence[Path]
    recording: Recording
    lesson: str | None

    @property
    def name(self) -> str:
        from pipetrace.records import Provenance

        origin = self.recording.first(Provenance)
        return origin.name if origin else self.files[0].stem

    def require(self, found: Sequence[object]) -> None:
        """Stop where there is nothing to ask.

        Raises:
            PipetraceError: there is nothing.
        """
        if not found:
            where = f" of the lesson {self.lesson}" if self.lesson else ""
            raise PipetraceError(
                f"{self.files[0]}: this run has no questions{where}. Questions rest on a captured "
                "forward: record a run in which a model is called."
            )


def _asked(file: Path | None, lesson: str | None) -> _Run:
    """Return the run that is asked.

    Raises:
        PipetraceError: there is no such lesson, or no such run.
    """
    from pipetrace import api
    from pipetrace.lessons import select
    from pipetrace.lessons.registry import templates
    from pipetrace.naming import asked

    files = asked([file] if file else [], Path("pipetrace-runs"))
    lessons = sorted({each.lesson for each in templates() if select.FAMILIES})
    if lesson is not None and lesson not in lessons:
        raise PipetraceError(f"--lesson {lesson}: the lessons are {', '.join(lessons)}.")
    return _Run(files, api.load(*files).recording, lesson)


def _whole(asked: _Wanted, run: _Run, seed: int, count: int | None) -> int:
    from pipetrace.lessons import select
    from pipetrace.lessons.registry import LEVELS
    from pipetrace.probes.execute import execute

    to_stdout = str(asked.path) == "-"
    if asked.named and not to_stdout:
        printing.require_writable(asked.path)
    bank = select.bank(run.recording, execute, seed=seed, lesson=run.lesson).questions
    run.require(bank)
    found = sorted(bank, key=lambda each: (LEVELS.index(each.level), each.id))
    found = found if count is None else some(found, count, seed)
    written = _write(asked.form, _blocks(found), asked.title, key=asked.key)
    if to_stdout:
        printing.write(written)
        return 0
    printing.export(asked.path, written, named=asked.named)
    levels = Counter(question.level for question in found)
    parts = ", ".join(f"{levels[level]} {level}" for level in LEVELS if levels[level])
    print(f"{asked.path}: {_many(len(found), 'question')} ({parts})", flush=True)
    return 0


def _class(asked: _Wanted, run: _Run, seed: int, count: int) -> int:
    from pipetrace.lessons import select
    from pipetrace.probes.execute import execute
    from pipetrace.views.questions import classroom

    candidates, ask = select.asking(run.recording, execute, run.lesson)
    with _place(asked.path, asked.named) as add:
        with printing.progress(False) as tell:
            made = parallel(candidates, ask, count, seed, tell)
        run.require(made[0])
        forms = [_blocks(form) for form in made]
        for number, form in enumerate(forms, 1):
            name = classroom.name(number, count)
            title = f"{asked.title} ({name})"
            unaided = [msgspec.structs.replace(question, hint="") for question in form]
            add(name + _ENDINGS[asked.form], _write(asked.form, unaided, title, key=False))
        if asked.key:
            add("key.md", classroom.key(forms, asked.title))
            add("key.csv", classroom.table(forms))
    total = sum(map(len, made))
    different = len({content(question) for form in made for question in form})
    shared = f"{different} different ones" if different < total else "all different"
    key = ", key.md, key.csv" if asked.key else ""
    print(f"{asked.path}: {_many(count, 'form')}{key}; {total} questions, {shared}", flush=True)
    return 0


def _blocks(found: Sequence[Question]) -> list[Block]:
    from pipetrace.story.questions import block

    return [block(question) for question in found]


def _write(form: str, found: Sequence[Block], title: str, *, key: bool) -> str | bytes:
    from pipetrace.views.questions import anki, gift, moodle, notebook, qti, sheet

    if form == "md":
        return sheet.render(found, title, key=key)
    if form in ("qti", "qti2"):
        return qti.render(found, title, "3.0" if form == "qti" else "2.1")
    if form == "notebook":
        from pipetrace.probes.execute import execute

        return notebook.render(found, title, lambda code: execute(code).error)
    views: dict[str, Callable[[Sequence[Block], str], str | bytes]] = {
        "gift": gift.render, "moodle": moodle.render, "anki": anki.render,
    }  # fmt: skip
    return views[form](found, title)


@contextlib.contextmanager
def _place(path: Path, named: bool) -> Iterator[Callable[[str, str | bytes], None]]:
    """Give what adds a file to a new folder, or to a zip file if the path ends so.

    A folder that could not be filled is taken away again.

    Raises:
        PipetraceError: there is something already, or it cannot be written.
    """
    if path.suffix == ".zip":
        if named:
            printing.require_writable(path)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
            yield lambda name, text: package.writestr(zipfile.ZipInfo(name, _ONE_DAY), text)
        printing.export(path, packed.getvalue(), named=named)
        return
    if path.exists():
        raise PipetraceError(f"{path}: there is such a {_kind(path)} already. "
                             "Name a new folder: --output PATH")  # fmt: skip
    try:
        path.mkdir()
    except OSError as error:
        raise PipetraceError(
            f"{path}: the folder cannot be made ({error.strerror}). Name another: --output PATH"
        ) from error
    try:
        yield lambda name, text: printing.export(path / name, text)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def _many(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
