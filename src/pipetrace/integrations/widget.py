"""A page as a widget: the viewer in a notebook's cell, with the kernel behind it."""

from __future__ import annotations

import re
from typing import Any

import anywidget
import traitlets

from pipetrace.errors import PipetraceError
from pipetrace.runs import HINT, Shown
from pipetrace.views import data, html

_OWN = re.compile(r"^export default \{ render \};\n", re.MULTILINE)


def module() -> str:
    """Return the viewer with its host for notebooks, as one ES module.

    >>> module().count("export default")
    1
    """
    return _OWN.sub("", html.module(html.HOSTS["widget"]))


class PageWidget(anywidget.AnyWidget):
    """The page of a run in a notebook's cell.

    Args:
        shown: A run or a comparison.
    """

    _esm = module()
    _css = html.style()
    page = traitlets.Dict().tag(sync=True)
    owns_address = traitlets.Bool(False).tag(sync=True)
    actions = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown
        self.on_msg(self._asked)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known by now of a run that is still recorded."""
        self.actions = list(getattr(self._shown, "actions", {}))
        self.page = data.plain(self._shown.page(), html.DIGITS)

    def __repr__(self) -> str:
        # A widget's own would write out the whole page.
        return f"<{type(self).__name__}: a notebook displays it; elsewhere use the run: {HINT}>"

    def _asked(self, _: Any, asked: Any, buffers: Any) -> None:
        """Do what a block on the page asks for, and send the blocks that come of it."""
        number = asked.get("number") if isinstance(asked, dict) else None
        try:
            action = getattr(self._shown, "actions", {})[asked["name"]]
            answer = {"blocks": data.plain(list(action(asked["arguments"])), html.DIGITS)}
        except PipetraceError as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.send({"number": number, **answer})
