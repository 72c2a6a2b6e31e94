"""Pages that follow their runs: `pipetrace serve`, and `pipetrace run --live`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pipetrace import printing
from pipetrace.errors import PipetraceError

if TYPE_CHECKING:
    from pipetrace.runs import Run
    from pipetrace.training.script import Ending


@click.command(
    short_help="Serve live pages to your browser.",
    epilog="\b\npipetrace serve\npipetrace serve pipetrace-runs/train.pipetrace --open",
)
@click.argument("place", required=False, metavar="[FILE|DIR]", default="pipetrace-runs",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--port", default=0, metavar="N", type=click.IntRange(0, 65_535),
              help="Where to listen; a free port by default.")  # fmt: skip
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def serve(place: Path, port: int, open_page: bool) -> Callable[[], int]:
    """Serve the runs in a folder, or one run FILE, to browsers on this machine.

    A page follows its run while it is written, the list of runs is at /, and two runs can be
    compared. Only this machine is served, only at the address that is printed: it carries a token.
    Ctrl-C ends it.
    """

    def later() -> int:
        from pipetrace import api

        opened = {"opened": printing.open_address} if open_page else {}
        api.serve(place, port=port, **opened)
        return 0

    return later


def run(context: click.Context) -> int:
    """Do what `run` does in a process of its own, and serve its page; return the exit code.

    Args:
        context: The command as it was typed.

    Raises:
        PipetraceError: it is one of several ranks, or a page cannot be served.
        KeyboardInterrupt: the script ended so.
    """
    from pipetrace.launch import launched
    from pipetrace.serving.front import run_live

    if launched() is not None:
        raise PipetraceError(
            "--live serves one process, and this is one of several. Leave it out, and serve their "
            "page from another terminal: pipetrace serve"
        )
    given = context.params
    quiet = given["quiet"]

    def say(text: str) -> None:
        if not quiet and sys.stderr is not None:
            print(f"pipetrace: {text}", file=sys.stderr, flush=True)

    return run_live(typed(context), given["out"], say=say, opened=printing.open_address)


def typed(context: click.Context) -> list[str]:
    """Return what was typed after `run`, without what this process does itself."""
    words: list[str] = []
    given = context.params
    for parameter in context.command.params:
        name = str(parameter.name)
        if not isinstance(parameter, click.Option) or name in ("live", "open_page"):
            continue
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            words += [parameter.opts[-1], *([] if parameter.is_flag else [str(given[name])])]
    return [*words, *([] if given["script"] is None else [given["script"]]), *given["arguments"]]


def answer(call: str, run: Run, ending: Ending) -> None:
    """Let the server ask this process, whose script has ended, for what can be run again.

    Args:
        call: Where it waits.
        run: The run, with its actions.
        ending: How the script ended.
    """
    if run.actions:
        from pipetrace.serving.errands import attend

        attend(call, run.actions, ending.status, ending.code)
