"""What notebooks are given beside the page that a run shows of itself: a live one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipetrace.api import Comparison, Run, load
from pipetrace.errors import PipetraceError


def widget(run: Run | Comparison | str | Path) -> Any:
    """Show a page as a widget: in Jupyter, JupyterLab, VS Code, Colab and marimo.

    With the process of a traced model behind it, its layers can be run again from the page.

    Args:
        run: A run, a comparison, or the path of a run file.

    Returns:
        An `anywidget.AnyWidget`. Of a run that is still recorded `refresh()` shows what is new.

    Raises:
        RunFileError: there is no such file, or it is no run file.
        PipetraceError: the extra `notebook` is not installed.
    """
    try:
        from pipetrace.integrations.widget import PageWidget
    except ImportError as error:
        raise PipetraceError(
            f"A widget needs the package {error.name}, which is not installed: "
            'pip install "pipetrace[notebook]"'
        ) from None
    return PageWidget(load(run) if isinstance(run, (str, Path)) else run)
