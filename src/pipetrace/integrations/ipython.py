"""The cell magic `%%pipetrace`: the cell runs in the notebook's namespace and its page follows."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from pipetrace import api
from pipetrace.errors import PipetraceError


def register(shell: Any) -> None:
    """Register the magic with an IPython shell."""

    def pipetrace(line: str, cell: str) -> api.Run:
        """Run the cell and show what it did, op by op and epoch by epoch.

        %%pipetrace [FILE]

        The cell's names stay in the namespace. FILE keeps the run; without it the page is all.
        """
        return trace_cell(shell, line, cell)

    shell.register_magic_function(pipetrace, magic_kind="cell", magic_name="pipetrace")


def trace_cell(shell: Any, line: str, cell: str) -> api.Run:
    """Run a cell under the recorder, and return the run: the notebook shows its page.

    Args:
        shell: The IPython shell; the cell's names stay in its namespace.
        line: A path for the run file, or nothing.
        cell: The cell's source.

    Returns:
        The run, also where the cell raised: then it holds what ran before.

    Raises:
        UsageError: the file exists or cannot be written, or a recording is going on.
    """
    error: BaseException | None = None
    run = api.Run()
    try:
        with api.record(line.strip().strip("\"'") or None) as run:
            outcome = shell.run_cell(cell)
            error = outcome.error_before_exec or outcome.error_in_exec
            if error is not None:
                raise error
    except PipetraceError as refused:
        if refused is not error:
            raise UsageError(str(refused)) from None
    except BaseException as raised:
        # The shell has shown the cell's own error already.
        if raised is not error:
            raise
    if error is not None:
        print(f"The cell raised {type(error).__name__}; the page is of what ran before.")
    return run
