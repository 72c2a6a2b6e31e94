"""The cell magic `%%pipetrace`: the cell runs in the notebook's namespace and its page follows."""

from __future__ import annotations

from typing import Any

from pipetrace import api


def register(shell: Any) -> None:
    """Register the magic with an IPython shell."""
    shell.register_magic_function(lambda line, cell: trace_cell(shell, line, cell),
                                  magic_kind="cell", magic_name="pipetrace")  # fmt: skip


def trace_cell(shell: Any, line: str, cell: str) -> api.Run:
    """Run a cell under the recorder, and return the run: the notebook shows its page.

    Args:
        shell: The IPython shell; the cell's names stay in its namespace.
        line: A path for the run file, or nothing.
        cell: The cell's source.
    """
    with api.record(line.strip() or None) as run:
        outcome = shell.run_cell(cell)
    # The shell has shown the error already: the page of what ran until then is the cell's result.
    if outcome is not None and outcome.error_in_exec is not None:
        print(f"The cell raised {type(outcome.error_in_exec).__name__}; this is what ran before.")
    return run
