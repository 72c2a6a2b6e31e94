"""A run shows itself: its page, its ops, how it ended."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipetrace.errors import RunFileError
from pipetrace.records import Ended, Fact, Op
from pipetrace.story.page import page as tell
from pipetrace.tracefile import Recording
from pipetrace.views import html, notebook, terminal

if TYPE_CHECKING:
    from pipetrace.blocks import Page


class Run:
    """A recorded run; in a notebook it shows its page.

    Attributes:
        output: What the model returned, for a run of `trace`.
    """

    def __init__(
        self, recording: Recording | None = None, output: Any = None,
        *, later: Callable[[], Recording] | None = None,
        news: Callable[[], list[Fact]] = list,
    ) -> None:  # fmt: skip
        self._recording = recording
        self._later = later
        self._news = news
        self._gradients = 0
        self.output = output

    @property
    def recording(self) -> Recording:
        """The facts; of a trace they are made when somebody first asks for them."""
        if self._recording is None:
            self._recording = Recording([], {}, None) if self._later is None else self._later()
            self._later = None
        news = self._news()
        self._recording.facts.extend(news[self._gradients :])
        self._gradients = len(news)
        return self._recording

    @recording.setter
    def recording(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def path(self) -> Path | None:
        """The run file, or None for a run in memory."""
        return self.recording.path

    @property
    def ops(self) -> list[Op]:
        """The ops of all captured forwards, in order."""
        return self.recording.all(Op)

    @property
    def code(self) -> int:
        """The exit code that the program ended with."""
        ended = self.recording.last(Ended)
        return 0 if ended is None else ended.code

    @property
    def status(self) -> str:
        """How the program ended: `finished`, `raised`, `interrupted`, `stopped`; else empty."""
        ended = self.recording.last(Ended)
        return "" if ended is None else ended.status

    def page(self) -> Page:
        """Return the page as blocks."""
        return tell(self.recording)

    def save_html(self, path: str | Path) -> Path:
        """Write the page as one HTML file that works offline.

        Raises:
            RunFileError: the file cannot be written.
        """
        target = Path(path)
        try:
            html.write(self.page(), target)
        except OSError as error:
            reason = error.strerror or error
            raise RunFileError(f"{target}: the page cannot be written here ({reason}).") from error
        return target

    def show(self) -> None:
        """Print the page in the terminal."""
        terminal.show(self.page())

    def __str__(self) -> str:
        text = io.StringIO()
        terminal.show(self.page(), file=text, width=100)
        return text.getvalue()

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else str(self.path)
        return f"<Run {where}: {len(self.recording.facts)} facts>"

    def _repr_html_(self) -> str:
        return notebook.html(self.page())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return notebook.bundle(self.page())
