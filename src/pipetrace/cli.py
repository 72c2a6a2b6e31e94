"""Each command is one verb of the api: what is typed, what is printed, which code comes back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

import pipetrace
from pipetrace import checkup, learning, printing, teaching
from pipetrace import live as following
from pipetrace import progress as account
from pipetrace.errors import PipetraceError

Later = Callable[[], int]
"""What a command leaves to be done after click: it must not catch the script's Ctrl-C."""

_FOLDER = "pipetrace-runs"
_OUT = click.option(
    "--out", default=_FOLDER, metavar="DIR", show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the run file and the page; nothing in it is written over.",
)  # fmt: skip
_NAME = click.option(
    "--name", metavar="NAME",
    help="Name of the run's files; that of the script, table or callable by default.",
)  # fmt: skip
_OPEN = click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print the page's facts as JSON, and nothing else."
)
_QUIET = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
_SAMPLE = click.option(
    "--sample", default=0, metavar="N", type=click.IntRange(min=0), show_default=True,
    help="Which held-out row the prediction is about, from 0.",
)  # fmt: skip
_VALUES = click.option(
    "--no-values", "values", flag_value=False, default=True, type=bool,
    help="Keep no rows of real values in the run file.",
)  # fmt: skip
_SOURCE = click.option(
    "--no-source", "source", flag_value=False, default=True, type=bool,
    help="Keep no source text in the run file.",
)  # fmt: skip
_FILES = click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))


def _examples(*lines: str) -> str:
    # click keeps the lines of a paragraph that begins with this mark.
    return "\b\n" + "\n".join(f"pipetrace {line}" for line in lines)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pipetrace.__version__, prog_name="pipetrace")
def commands() -> None:
    """Make any PyTorch pipeline show its work.

    Run your training script under pipetrace, unmodified, and get one page: the data flow stage by
    stage, the training epoch by epoch, one prediction layer by layer, and questions about it.
    """


@commands.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a script, unmodified, and record it.",
    epilog=_examples("run", "run train.py --epochs 5", "run --steps 20 -m package.train"),
)
@_OUT
@_NAME
@_OPEN
@click.option("--live", is_flag=True,
              help="Open a page in the browser that follows the run and stays until Ctrl-C; where "
              "stdin is no terminal, for 5 seconds after its last reader has left.")  # fmt: skip
@_JSON
@_QUIET
@_SAMPLE
@click.option("--steps", metavar="N", type=click.IntRange(min=1),
              help="Stop the script after N optimizer steps, for a first look.")  # fmt: skip
@_VALUES
@_SOURCE
@click.option("-m", "module", is_flag=True, help="Run a module, as `python -m` does.")
@click.argument("script", required=False, metavar="[SCRIPT | -m MODULE]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
@click.pass_context
def run(
    context: click.Context, out: Path, name: str | None, open_page: bool, live: bool,
    as_json: bool, quiet: bool, sample: int, steps: int | None, values: bool, source: bool,
    module: bool, script: str | None, arguments: tuple[str, ...],
) -> Later:  # fmt: skip
    """Run SCRIPT with its ARGUMENTS, as plain Python would, and record it.

    Without SCRIPT the built-in dropout pipeline runs. Options stand before SCRIPT; everything
    after it is the script's own. The page goes to stderr and stdout stays the script's; with
    --json what the script prints goes to stderr and stdout is the JSON.
    """
    if module and script is None:
        raise click.UsageError("-m needs the name of a module: pipetrace run -m package.train")
    if live:
        return lambda: following.run(context)

    def later() -> int:
        from pipetrace import api, serving

        call = serving.called()
        stream = sys.stdout if script is None or as_json else sys.stderr
        with printing.ours(stream, as_json) as ours:
            shown = printing.shower(ours, as_json=as_json, quiet=quiet, open_page=open_page)
            run, ending = api.execute(
                script, arguments, module=module, out=out, name=name, steps=steps, sample=sample,
                values=values, source=source, shown=shown, live=bool(call),
            )  # fmt: skip
        if call:
            following.answer(call, run, ending)
        if ending.status == "interrupted":
            raise KeyboardInterrupt
        return ending.code

    return later


@commands.command(
    short_help="Trace one forward of a model, op by op.",
    epilog=_examples("trace model.py:make --input 8,3,224,224",
                     "trace torch.nn:Identity --input 2,128:int64:30000 --eval"),
)  # fmt: skip
@click.argument("target", metavar="MODULE:CALLABLE")
@click.option("--input", "inputs", multiple=True, metavar="SHAPE[:DTYPE[:BOUND]]",
              help="Shape of an input; may be given again. Random normal numbers, whole ones "
              "from 0 to below BOUND, or True and False alike.")  # fmt: skip
@click.option("--keyword", "keywords", multiple=True, metavar="NAME=SHAPE[:DTYPE[:BOUND]]",
              help="The same for an input that is given by name.")  # fmt: skip
@click.option("--train/--eval", "training", default=None,
              help="Mode to put the model in; as it was made by default.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, metavar="N",
              type=click.IntRange(min=0, max=2**32 - 1),
              help="Decides the initial weights, the inputs and the masks.")  # fmt: skip
@click.option("--both-modes", is_flag=True,
              help="Play the batch in the other mode too, to see which ops differ.")  # fmt: skip
@click.option("--ops", is_flag=True, help="Print the table of all ops in place of the page.")
@_OUT
@_NAME
@_OPEN
@_JSON
@_QUIET
@click.option("--sample", default=0, metavar="N", type=click.IntRange(min=0), show_default=True,
              help="Which row of the batch the values are of, from 0.")  # fmt: skip
@_VALUES
@_SOURCE
def trace(
    target: str, inputs: tuple[str, ...], keywords: tuple[str, ...], training: bool | None,
    seed: int, both_modes: bool, ops: bool, out: Path, name: str | None, open_page: bool,
    as_json: bool, quiet: bool, sample: int, values: bool, source: bool,
) -> Later:  # fmt: skip
    """Trace one forward of the model that MODULE:CALLABLE names, and show it op by op.

    MODULE is imported as from a script in this folder; a file, model.py, will do as well. CALLABLE
    is an nn.Module, or a class or function that makes one without arguments. A function may return
    (module, inputs): then these inputs are used where none are asked for here.
    """
    if ops and as_json:
        raise click.UsageError("--ops and --json are two outputs: leave one out")
    if ops and both_modes:
        raise click.UsageError("The table of --ops is of one forward: leave out --both-modes")

    def later() -> int:
        from pipetrace import tracing
        from pipetrace.asked import ask

        asked = ask(target, inputs, keywords, training, seed)
        with printing.ours(sys.stdout, as_json) as ours:
            shown = printing.shower(ours, as_json=as_json, quiet=quiet, open_page=open_page,
                                    ops=ops)  # fmt: skip
            return tracing.call(asked, both_modes=both_modes, out=out, name=name, sample=sample,
                            values=values, source=source, shown=shown)  # fmt: skip

    return later


@commands.command(
    short_help="Train the dropout pipeline on a table of your own.",
    epilog=_examples("fit penguins.csv --target species",
                     "fit prices.parquet --target price --hidden 64,32 --drop id"),
)  # fmt: skip
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
        from pipetrace.naming import at_free_path, file_name

        label = file_name(table.stem) if name is None else name
        with printing.ours(sys.stdout, as_json) as ours:
            show = printing.shower(ours, as_json=as_json, quiet=quiet, open_page=open_page)
            try:
                with printing.progress(quiet) as progress:
                    fitted = at_free_path(out, label, lambda path: api.fit(
                        table, target, task=task, hidden=_widths(hidden), dropout=dropout,
                        epochs=epochs, seed=seed, drop=drop, path=path, sample=sample,
                        values=values, progress=progress,
                    ))  # fmt: skip
            except KeyboardInterrupt as interrupt:
                if hasattr(interrupt, "pipetrace"):
                    show(interrupt.pipetrace)
                raise
            show(fitted)
        return fitted.code

    return later


@commands.command(short_help="Print the page of a run.")
@_FILES
@_JSON
def show(files: tuple[Path, ...], as_json: bool) -> Later:
    """Print the page of a run FILE; the newest run if none is named.

    The files of a launch's ranks, or a pattern, 'NAME.rank*.pipetrace', become one page. A run
    that goes on is shown as far as it has come, and is not disturbed.
    """

    def later() -> int:
        from pipetrace import api
        from pipetrace.views import data, terminal

        page = api.load(*_chosen(files)).page()
        if as_json:
            printing.write(data.render(page) + "\n")
        else:
            terminal.show(page, file=sys.stdout)
            sys.stdout.flush()
        return 0

    return later


@commands.command(
    short_help="Put two runs side by side, and say what differs first.",
    epilog=_examples("diff first.pipetrace second.pipetrace",
                     "diff first.pipetrace second.pipetrace --output difference.html"),
)  # fmt: skip
@click.argument("a", metavar="A.pipetrace", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.pipetrace", type=click.Path(path_type=Path))
@_JSON
@click.option("--output", "-o", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the page as HTML, too.")  # fmt: skip
@_OPEN
def diff(a: Path, b: Path, as_json: bool, output: Path | None, open_page: bool) -> Later:
    """Put the runs A and B side by side, and say what differs first.

    Compared are settings, source text, model, stages, curves, observations and prediction. With
    --open and without --output the page is written beside B.
    """

    def later() -> int:
        from pipetrace import api
        from pipetrace.naming import file_name, free_path
        from pipetrace.views import data, html, terminal

        page = api.diff(a, b).page()
        path = output
        if path is None and open_page:
            path = free_path(b.parent, file_name(f"{a.stem}-{b.stem}")).with_suffix(".html")
        if path is not None:
            printing.export(path, html.document(page))
        if as_json:
            printing.write(data.render(page) + "\n")
        else:
            terminal.show(page, file=sys.stdout)
            if path is not None:
                print("", f"  page  {path}", sep="\n")
            sys.stdout.flush()
        if open_page and path is not None:
            printing.open_in_browser(path)
        return 0

    return later


@commands.command(short_help="Write the page of a run as HTML, Markdown, JSON or figures.")
@_FILES
@click.option("--to", "form", type=click.Choice(["html", "md", "json", "png", "svg"]),
              default="html", show_default=True, help="Format of the export.")  # fmt: skip
@click.option("--section", metavar="ID",
              help="Of png and svg: only the figure of one section, `training` say.")  # fmt: skip
@click.option("--output", "-o", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path),
              help="Where to write; beside the run by default, - for stdout.")  # fmt: skip
def export(
    files: tuple[Path, ...], form: str, section: str | None, output: Path | None
) -> Later:  # fmt: skip
    """Write the page of a run FILE, the newest if none is named, as HTML, Markdown or JSON.

    As png and svg its curves, distributions, draws, networks and bars are written, one file for
    each section that has any: NAME-training.png, ...
    """

    def later() -> int:
        from pipetrace import api
        from pipetrace.views import data, html, markdown

        chosen = _chosen(files)
        page = api.load(*chosen).page()
        if form in ("png", "svg"):
            printing.figures(page, form, section, output, chosen[0])
            return 0
        if section is not None:
            raise PipetraceError("--section chooses a figure: write --to png or --to svg with it.")
        text = {"html": html.document, "md": markdown.render, "json": data.render}[form](page)
        if str(output) == "-":
            printing.write(text if text.endswith("\n") else text + "\n")
            return 0
        path = output or chosen[0].with_suffix(f".{form}")
        printing.export(path, text, named=output is not None)
        print(path, flush=True)
        return 0

    return later


for command in (
    following.serve, checkup.check, checkup.rules, checkup.explain,
    learning.learn, learning.lessons, learning.quiz, account.progress, teaching.questions,
):  # fmt: skip
    commands.add_command(command)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 2 for what was typed wrong or cannot be done.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after all has been said: it ends the process by the signal,
            so that a shell's loop around it ends too.
    """
    try:
        later = commands.main(list(arguments) or ["--help"], "pipetrace", standalone_mode=False)
        code = int(later() if callable(later) else later or 0)
    except click.ClickException as error:
        return _refuse(_paragraph(error))
    except PipetraceError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        printing.drop()
        return 1
    except OSError as error:
        printing.drop()
        return _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        sys.excepthook = lambda *_: None
        raise KeyboardInterrupt from None
    return code


def _refuse(reason: str) -> int:
    print(f"pipetrace: {reason}", file=sys.stderr)
    return 2


def _paragraph(error: click.ClickException) -> str:
    """Say what click says, on one line, and where help is."""
    reason = " ".join(error.format_message().split()).rstrip(".")
    reason += "" if reason.endswith("?") else "."
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{reason} See: {context.command_path if context else 'pipetrace'} --help"


def _chosen(files: Sequence[Path]) -> list[Path]:
    """Return the files that were named, patterns filled in; else the newest run, of all ranks."""
    from pipetrace.naming import asked

    return asked(files, Path(_FOLDER))


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise PipetraceError(
            f"--hidden {text}: write whole numbers with commas between, for example --hidden 64,32."
        ) from None
