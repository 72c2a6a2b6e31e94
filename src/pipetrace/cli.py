"""Each command is one verb of the api: what is typed, what is printed, which code comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import pipetrace
from pipetrace.errors import PipetraceError

Later = Callable[[], int]
"""What a command leaves to be done after click: it must not catch the script's Ctrl-C."""

_FOLDER = "pipetrace-runs"
_OUT = click.option(
    "--out", default=_FOLDER, metavar="DIR", show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the run file and the page; nothing in it is written over.",
)  # fmt: skip
_NAME = click.option("--name", metavar="NAME", help="Name of the run; the script's by default.")
_OPEN = click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
_JSON = click.option(
    "--json", "as_json", is_flag=True,
    help="Print the page's facts as JSON on stdout; what a script prints goes to stderr.",
)  # fmt: skip
_QUIET = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
_SAMPLE = click.option(
    "--sample", default=0, metavar="N", type=click.IntRange(min=0), show_default=True,
    help="Which held-out row the prediction is about, from 0.",
)  # fmt: skip
_VALUES = click.option(
    "--no-values", "values", flag_value=False, default=True, type=bool,
    help="Keep no rows of real values in the run file.",
)  # fmt: skip
_FILE = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pipetrace.__version__, prog_name="pipetrace")
def commands() -> None:
    """Make any PyTorch pipeline show its work.

    Run your training script under pipetrace, unmodified, and get one page: the data flow stage by
    stage, the training epoch by epoch, one prediction layer by layer, and questions about it.
    """


@commands.command(context_settings={"ignore_unknown_options": True,
                                    "allow_interspersed_args": False})  # fmt: skip
@_OUT
@_NAME
@_OPEN
@_JSON
@_QUIET
@_SAMPLE
@click.option("--steps", metavar="N", type=click.IntRange(min=1),
              help="Stop the script after N optimizer steps: a first look at a long training.")  # fmt: skip
@_VALUES
@click.option("--no-source", "source", flag_value=False, default=True, type=bool,
              help="Keep no source text in the run file.")  # fmt: skip
@click.option("-m", "module", is_flag=True, help="SCRIPT is a module, as after `python -m`.")
@click.argument("script", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    out: Path, name: str | None, open_page: bool, as_json: bool, quiet: bool, sample: int,
    steps: int | None, values: bool, source: bool, module: bool, script: str | None,
    arguments: tuple[str, ...],
) -> Later:  # fmt: skip
    """Run SCRIPT with its ARGUMENTS, as plain Python would, and record it.

    Without SCRIPT the built-in dropout pipeline runs. Options stand before SCRIPT; everything
    after it is the script's own. Our output goes to stderr, stdout is the script's.
    """
    if module and script is None:
        raise click.UsageError("-m needs the name of a module: pipetrace run -m package.train")

    def later() -> int:
        from pipetrace import api

        own = sys.stdout if script is None or as_json else sys.stderr
        with _clear_stdout(as_json) as stdout:
            result, ending = api.execute(
                script, arguments, module=module, out=out, name=name, steps=steps,
                sample=sample, values=values, source=source,
            )  # fmt: skip
            _show(result, stdout if as_json else own, as_json=as_json, quiet=quiet)
        if open_page:
            _open(result)
        if ending.status == "interrupted":
            _die_of_interrupt()
        return ending.code

    return later


@commands.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--task", type=click.Choice(["classification", "regression"]),
              help="Decided by the target's type unless named.")  # fmt: skip
@click.option("--hidden", default="10", show_default=True, metavar="WIDTHS",
              help="Widths of the hidden layers, for example 64,32.")  # fmt: skip
@click.option("--dropout", default=0.3, show_default=True, metavar="P",
              help="Probability that an input is dropped in training.")  # fmt: skip
@click.option("--epochs", type=int, metavar="N", help="Passes over the training rows.")
@click.option("--seed", default=0, show_default=True, metavar="N",
              help="Decides the split, the initial weights, the order and the masks.")  # fmt: skip
@click.option("--drop", multiple=True, metavar="COLUMN",
              help="A column to leave out; may be given again.")  # fmt: skip
@_OUT
@_NAME
@_OPEN
@_JSON
@_QUIET
@_SAMPLE
@_VALUES
def fit(
    table: Path, target: str, task: str | None, hidden: str, dropout: float, epochs: int | None,
    seed: int, drop: tuple[str, ...], out: Path, name: str | None, open_page: bool, as_json: bool,
    quiet: bool, sample: int, values: bool,
) -> Later:  # fmt: skip
    """Train the dropout pipeline on TABLE, a CSV or Parquet file, and record it."""

    def later() -> int:
        from pipetrace import api
        from pipetrace.tracefile import free_path

        result = api.fit(
            table, target, task=task, hidden=_widths(hidden), dropout=dropout, epochs=epochs,
            seed=seed, drop=drop, path=free_path(out, name or table.stem), sample=sample,
            values=values, progress=_progress(),
        )  # fmt: skip
        _show(result, sys.stdout, as_json=as_json, quiet=quiet)
        if open_page:
            _open(result)
        return result.code

    return later


@commands.command()
@_FILE
@_JSON
def show(file: Path | None, as_json: bool) -> Later:
    """Print the page of a run FILE; the newest run if none is named."""

    def later() -> int:
        from pipetrace import api

        _show(api.load(_chosen(file)), sys.stdout, as_json=as_json, quiet=False, paths=False)
        return 0

    return later


@commands.command()
@_FILE
@click.option("--to", "form", type=click.Choice(["html", "md", "json"]), default="html",
              show_default=True, help="Format of the export.")  # fmt: skip
@click.option("--output", "-o", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
              help="Where to write; beside the run by default, - for stdout.")  # fmt: skip
def export(file: Path | None, form: str, output: Path | None) -> Later:
    """Write the page of a run FILE as HTML, Markdown or JSON; of the newest run if none is named."""

    def later() -> int:
        from pipetrace import api
        from pipetrace.views import data, html, markdown

        chosen = _chosen(file)
        page = api.load(chosen).page()
        text = {"html": html.document, "md": markdown.render, "json": data.render}[form](page)
        if str(output) == "-":
            print(text)
            return 0
        path = output or chosen.with_suffix(f".{form}")
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise PipetraceError(f"{path}: the export cannot be written ({error.strerror}). "
                                 "Name another place: --output PATH") from error  # fmt: skip
        print(path)
        return 0

    return later


@commands.command()
@_FILE
def quiz(file: Path | None) -> Later:
    """Ask the questions of a run FILE in the terminal, and grade the answers."""

    def later() -> int:
        from rich.console import Console

        from pipetrace import api
        from pipetrace.blocks import Question
        from pipetrace.views.quiz import ask

        sections = api.load(_chosen(file)).page().sections
        questions = [b for s in sections for b in s.blocks if isinstance(b, Question)]
        if not questions:
            raise PipetraceError("This run has no questions: it has no captured forward.")
        ask(questions, input, Console())
        return 0

    return later


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 2 for what was typed wrong or cannot be done."""
    try:
        later = commands.main(list(arguments), "pipetrace", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    if not callable(later):
        return int(later or 0)
    try:
        return int(later())
    except PipetraceError as error:
        print(f"pipetrace: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _chosen(file: Path | None) -> Path:
    from pipetrace.tracefile import newest

    return newest(Path(_FOLDER)) if file is None else file


def _show(
    run: Any, stream: Any, *, as_json: bool, quiet: bool, paths: bool = True
) -> None:  # fmt: skip
    from pipetrace.views import data, terminal

    if as_json:
        print(data.render(run.page()), file=stream, flush=True)
    elif not quiet:
        terminal.show(run.page(), file=stream)
        if paths and run.path is not None:
            print(f"\n  page  {run.path.with_suffix('.html')}\n  run   {run.path}", file=stream)


@contextlib.contextmanager
def _clear_stdout(on: bool) -> Iterator[Any]:
    """Let everything a script prints, its subprocesses too, go to stderr, so stdout is ours."""
    if not on:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    ours = os.fdopen(kept, "w", encoding="utf-8")
    try:
        yield ours
    finally:
        sys.stdout.flush()
        ours.flush()
        os.dup2(ours.fileno(), 1)
        ours.close()


def _open(run: Any) -> None:
    import webbrowser

    webbrowser.open(run.path.with_suffix(".html").resolve().as_uri())


def _die_of_interrupt() -> None:
    """End as Python ends after Ctrl-C: killed by the signal, so that a shell's loop stops too."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise PipetraceError(
            f"--hidden {text}: write whole numbers with commas between, for example --hidden 64,32."
        ) from None


def _progress() -> Callable[[int, int], None] | None:
    """Return what writes the epoch on one line of stderr; None where that is no terminal."""
    if not sys.stderr.isatty():
        return None

    def write(epoch: int, count: int) -> None:
        print(f"\repoch {epoch} of {count}", end="\n" if epoch == count else "", file=sys.stderr)

    return write
