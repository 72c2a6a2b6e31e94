"""`pipetrace check` and its rules: what is typed, what is printed, which code comes back."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.core import ParameterSource

from pipetrace import printing

if TYPE_CHECKING:
    from pipetrace.blocks import Page
    from pipetrace.checks.findings import Finding
    from pipetrace.checks.judge import Judged
    from pipetrace.runs import Run
    from pipetrace.tracefile import Recording

Later = Callable[[], int]
_MODEL = ("inputs", "keywords", "training", "seed")
"""Options of MODULE:CALLABLE; the others of `_RECORDING` make a run of it or of a script."""
_RECORDING = ("out", "name", "open_page", "values", "source")


class _Check(click.Command):
    """After a script all words are the script's; after anything else options may follow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = self.make_parser(ctx).parse_args(args=list(args))[0]
        target = given.get("target")
        named = isinstance(target, str) and not given.get("module")
        ctx.allow_interspersed_args = named and _kind(str(target)) != "script"
        return super().parse_args(ctx, args)


@click.command(
    cls=_Check,
    context_settings={"allow_interspersed_args": False},
    short_help="Find the silent bugs of a script, a run or a model.",
    epilog="\b\npipetrace check train.py --epochs 2"
    "\npipetrace check --format sarif --output findings.sarif -m package.train"
    "\npipetrace check model.py:make --input 8,3,224,224"
    "\npipetrace check pipetrace-runs/train.pipetrace",
)
@click.option("--select", multiple=True, metavar="IDS",
              help="Ask only these rules: PTR101, PTR1 for a family, or a name; with commas "
              "between, or given again.")  # fmt: skip
@click.option(
    "--ignore",
    multiple=True,
    metavar="IDS",
    help="Leave out these rules; of two words that fit, the longer one counts.",
)
@click.option(
    "--severity",
    type=click.Choice(["error", "warning", "advice", "note"]),
    default="note",
    show_default=True,
    help="Report this severity and graver ones.",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text",
              show_default=True,
              help="Of the report; with json and sarif what a script prints goes to stderr, "
              "unless --output is given.")  # fmt: skip
@click.option("--output", "-o", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the report to a file.")  # fmt: skip
@click.option("--exit-zero", is_flag=True, help="Return 0 whatever is found.")
@click.option(
    "--out",
    default="pipetrace-runs",
    metavar="DIR",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the run file and the page; nothing in it is written over.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the run's files; that of the script or callable by default.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--quiet", is_flag=True, help="Print a line for each finding, and nothing else.")
@click.option("--steps", metavar="N", type=click.IntRange(min=1),
              help="Stop the script after N optimizer steps.")  # fmt: skip
@click.option("--no-values", "values", flag_value=False, default=True, type=bool,
              help="Keep no rows of real values in the run file.")  # fmt: skip
@click.option("--no-source", "source", flag_value=False, default=True, type=bool,
              help="Keep no source text in the run file.")  # fmt: skip
@click.option("--input", "inputs", multiple=True, metavar="SHAPE[:DTYPE[:BOUND]]",
              help="Of MODULE:CALLABLE: shape of an input, as for `trace`.")  # fmt: skip
@click.option(
    "--keyword",
    "keywords",
    multiple=True,
    metavar="NAME=SHAPE[:DTYPE[:BOUND]]",
    help="Of MODULE:CALLABLE: the same for an input that is given by name.",
)
@click.option(
    "--train/--eval",
    "training",
    default=None,
    help="Of MODULE:CALLABLE: mode to put the model in; as it was made by default.",
)
@click.option("--seed", default=0, show_default=True, metavar="N",
              type=click.IntRange(min=0, max=2**32 - 1),
              help="Of MODULE:CALLABLE: decides weights, inputs and masks.")  # fmt: skip
@click.option("-m", "module", is_flag=True, help="Run a module, as `python -m` does.")
@click.argument("target", metavar="TARGET")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
@click.pass_context
def check(context: click.Context, /, **given: Any) -> Later:
    """Find silent bugs: run TARGET under observation, and judge what it did.

    TARGET is a script, with its ARGUMENTS after it; a run, FILE.pipetrace; or MODULE:CALLABLE, a
    model alone, as for `trace`. Options stand before a script; everything after it is its own.
    What is found of a script goes to stderr, and stdout stays the script's.

    Returned is 1 for a warning or an error, else 0; 2 where the check could not see all of the
    program, because it raised or ended with a code of its own; 130 after Ctrl-C. In the nearest
    pyproject.toml `[tool.pipetrace]` may have `select`, `ignore` and `per-file-ignores`, and a line
    of the program a comment: # pipetrace: ignore[PTR101]
    """
    target = given["target"]
    kind = "script" if given["module"] else _kind(target)
    wrong = {"script": _MODEL, "run": (*_MODEL, *_RECORDING, "steps"), "model": ("steps",)}[kind]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in wrong and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{max(parameter.opts, key=len)} is not for a {kind}")
    if kind != "script" and given["arguments"]:
        raise click.UsageError(f"Unexpected words after {target}: {' '.join(given['arguments'])}")
    return lambda: _checked(kind, given)


@click.command(short_help="List the rules on silent bugs.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.argument("word", default="", metavar="[WORD]")
def rules(as_json: bool, word: str) -> Later:
    """List the rules that `pipetrace check` asks, by family.

    With WORD those whose id begins so, PTR3, or whose name has it.
    """

    def later() -> int:
        from pipetrace.checks import judge, reports, selecting
        from pipetrace.story import explaining
        from pipetrace.views import terminal

        every = selecting.search(word, judge.every_rule())
        if as_json:
            printing.write(json.dumps(reports.listed(every), indent=1) + "\n")
        else:
            terminal.show(explaining.overview(every), file=sys.stdout)
            sys.stdout.flush()
        return 0

    return later


@click.command(short_help="Print the page of a rule.",
               epilog="\b\npipetrace explain PTR101")  # fmt: skip
@click.argument("rule")
def explain(rule: str) -> Later:
    """Print what RULE finds, why it matters, a program in which it fires and one that it leaves.

    RULE is an id, PTR101, or its name. Where several begin so, or have it in their names, they are
    listed.
    """

    def later() -> int:
        from pipetrace.checks import judge, selecting
        from pipetrace.story import explaining
        from pipetrace.views import terminal

        found = selecting.search(rule, judge.every_rule())
        page = explaining.overview(found) if len(found) > 1 else explaining.page(found[0])
        terminal.show(page, file=sys.stdout)
        sys.stdout.flush()
        return 0

    return later


def _kind(target: str) -> str:
    """Tell what a target is: `run`, `model` or `script`."""
    if target.endswith(".pipetrace"):
        return "run"
    return "model" if ":" in target and not Path(target).exists() else "script"


def _checked(kind: str, given: dict[str, Any]) -> int:
    apart = given["form"] != "text" and given["output"] is None
    stream = sys.stderr if kind == "script" and not apart else sys.stdout
    with printing.ours(stream, apart) as ours:
        return _CHECKED[kind](given, ours)


def _check_script(given: dict[str, Any], ours: TextIO) -> int:
    from pipetrace import api
    from pipetrace.launch import launched

    target = given["target"]
    report = _Report(given, Path.cwd() if given["module"] else Path(target), ours)
    chosen = {key: given[key] for key in ("module", "out", "name", "steps", "values", "source")}
    _, ending = api.execute(
        target, given["arguments"], sample=0, selection=report.selection, shown=report.show,
        **chosen,
    )  # fmt: skip
    if ending.status == "interrupted":
        raise KeyboardInterrupt
    rank = launched()
    if rank is not None and rank.number:
        # The first rank reports for all: a launcher would end it for the code of another one.
        return 2 if ending.code else 0
    return report.code


def _check_run(given: dict[str, Any], ours: TextIO) -> int:
    from pipetrace import api
    from pipetrace.naming import matching
    from pipetrace.records import Provenance

    run = api.load(*matching([Path(given["target"])]))
    origin = run.recording.first(Provenance)
    path = Path(origin.path or origin.folder) if origin else Path()
    report = _Report(given, path if path.exists() else Path.cwd(), ours)
    report.show(run)
    return report.code


def _check_model(given: dict[str, Any], ours: TextIO) -> int:
    from pipetrace import checking
    from pipetrace.asked import ask

    asked = ask(*(given[key] for key in ("target", *_MODEL)))
    path = asked.target.path
    report = _Report(given, Path(path) if path else Path.cwd(), ours)
    chosen = {key: given[key] for key in ("out", "name", "values", "source")}
    checking.call(asked, selection=report.selection, shown=report.show, **chosen)
    return report.code


_CHECKED = {"script": _check_script, "run": _check_run, "model": _check_model}


class _Report:
    """What a check prints of a complete run.

    Attributes:
        selection: Which rules are asked.
        code: What to return: 2 until a run was shown.
    """

    def __init__(self, given: dict[str, Any], start: Path, ours: TextIO) -> None:
        from pipetrace.checks import configuration, judge

        self._given, self._ours = given, ours
        self._start, self._folder = start.absolute(), Path.cwd()
        folder = self._start if start.is_dir() else self._start.parent
        self.selection = configuration.selection(
            judge.every_rule(), _split(given["select"]), _split(given["ignore"]), folder
        )
        output = given["output"]
        self._output = None if output is None else output.absolute()
        if self._output is not None:
            printing.require_writable(self._output)
        self.code = 2

    def show(self, run: Run) -> None:
        """Judge a run, print what is found, and decide the code."""
        from pipetrace.checks import judge
        from pipetrace.checks.findings import SEVERITIES
        from pipetrace.story.findings import incomplete

        given, recording = self._given, run.recording
        least = SEVERITIES.index(given["severity"])
        every = judge.judged(recording, self.selection)
        found = [each for each in every.findings if SEVERITIES.index(each.severity) <= least]
        result = every._replace(findings=found)
        grave = any(each.grave for each in found) and not given["exit_zero"]
        self.code = 2 if incomplete(recording) else int(grave)
        page = self._page(recording, result, len(every.findings) - len(found))
        if self._output is not None:
            printing.export(self._output, self._written(recording, found, page))
            if not given["quiet"]:
                print(f"Written: {given['output']}", file=sys.stderr)
        elif given["form"] != "text":
            print(self._written(recording, found, page), end="", file=self._ours, flush=True)
        else:
            self._print(run, found, page)
        file = None if run.path is None else run.path.with_suffix(".html")
        if given["open_page"] and file is not None and file.exists():
            printing.open_in_browser(file)

    def _print(self, run: Run, found: list[Finding], page: Page) -> None:
        from pipetrace.records import Ended
        from pipetrace.views import terminal

        ended = run.recording.last(Ended)
        with contextlib.suppress(BrokenPipeError):
            if self._given["quiet"]:
                print(*found, sep="\n", end="\n" * bool(found), file=self._ours, flush=True)
                return
            if ended is not None and ended.status in ("raised", "interrupted"):
                print(file=self._ours)
            terminal.show(page, file=self._ours)
            print(printing.paths(self._folder, run.path), end="", file=self._ours, flush=True)

    def _written(self, recording: Recording, found: list[Finding], page: Page) -> str:
        from pipetrace.checks import judge, reports
        from pipetrace.story.findings import cut, incomplete
        from pipetrace.views import terminal

        asked = judge.asked_of(recording, self.selection)
        reasons, stopped = incomplete(recording), cut(recording)
        if self._given["form"] == "text":
            written = io.StringIO()
            terminal.show(page, file=written, width=100)
            return written.getvalue()
        if self._given["form"] == "json":
            log = reports.told(found, asked, [*reasons, *stopped])
        else:
            log = reports.sarif(found, asked, reasons, self._start, stopped)
        return json.dumps(log, indent=1, ensure_ascii=False) + "\n"

    def _page(self, recording: Recording, result: Judged, hidden: int) -> Page:
        from pipetrace.story import findings

        return findings.report(recording, result, self.selection, str(self._folder), hidden)


def _split(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in word.split(",")]
