"""A run shows itself: its page, its ops, how it ended."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.msgpack import encode

from pipetrace.checks.findings import Finding
from pipetrace.errors import RunFileError
from pipetrace.records import Ended, Fact, Gradient, Op

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipetrace.blocks import AnyBlock, Page
    from pipetrace.ops import Ops
    from pipetrace.tracefile import Recording

HINT = "show() prints its page, save_html(path) writes it"
"""What to do with a page where none is displayed, in a plain shell for example."""


class Shown:
    """Something with a page: printed, written as HTML, or shown by a notebook."""

    def page(self) -> Page:
        """Return the page as blocks."""
        raise NotImplementedError

    def save_html(self, path: str | Path) -> Path:
        """Write the page as one HTML file that works offline.

        Raises:
            RunFileError: the file cannot be written.
        """
        from pipetrace.views import html

        target = Path(path)
        try:
            html.write(self.page(), target)
        except OSError as error:
            reason = error.strerror or error
            raise RunFileError(f"{target}: the page cannot be written here ({reason}).") from error
        return target

    def plot(self, section: str | None = None) -> Figure:
        """Draw the page's curves, distributions, draws, networks and bars with Matplotlib.

        Args:
            section: The id of one section, `training` for example; all by default.

        Returns:
            A figure of its own, outside pyplot: a notebook shows it, `savefig` writes it.

        Raises:
            PipetraceError: matplotlib is not installed, or there is nothing to draw.
        """
        from pipetrace.views import figures

        return figures.figure(self.page(), section)

    def show(self) -> None:
        """Print the page in the terminal."""
        from pipetrace.views import terminal

        terminal.show(self.page())

    def __str__(self) -> str:
        from pipetrace.views import terminal

        text = io.StringIO()
        terminal.show(self.page(), file=text, width=100)
        return text.getvalue()

    def _repr_html_(self) -> str:
        from pipetrace.views import notebook

        return notebook.html(self.page())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from pipetrace.views import notebook

        return notebook.bundle(self.page())


class Findings(Shown, list[Finding]):
    """Findings as a list, the gravest first, that shows itself as `pipetrace check` prints them."""

    def page(self) -> Page:
        """Return the page as blocks."""
        from pipetrace.story.findings import alone

        return alone(self)

    def __repr__(self) -> str:
        return str(self)


class Run(Shown):
    """A recorded run; in a notebook it shows its page.

    Attributes:
        output: What the model returned, for a run of `trace`.
        actions: What a page may ask of the process behind it, by name: each takes a dict of plain
            arguments and returns blocks. Empty where there is only a file.
    """

    # A trace takes less time than importing what shows it: only what is asked for is imported.

    def __init__(
        self, recording: Recording | None = None, output: Any = None,
        *, facts: Callable[[], list[Fact]] = list,
        complete: Callable[[list[Fact]], Recording] | None = None,
        gradients: Callable[[], list[Gradient]] = list,
    ) -> None:  # fmt: skip
        self._recording = recording
        self._told: list[Fact] | None = None
        self._tell = facts
        self._complete = complete
        self._late = gradients
        self._gradients: dict[tuple[int, int, int], bytes] = {}
        self.so_far: Callable[[], Recording] | None = None
        """Gives what is known of a run that is still being recorded."""
        self.output = output
        self.actions: dict[str, Callable[[dict[str, Any]], list[AnyBlock]]] = {}

    @property
    def facts(self) -> list[Fact]:
        """What is known of the run; of a trace, without what only its page needs.

        They are made when somebody first asks for them. Gradients that a backward has computed
        since then are added.
        """
        if self._recording is not None:
            facts = self._recording.facts
        elif self.so_far is not None:
            return self.so_far().facts
        else:
            if self._told is None:
                # What they are made from, the model too, is kept no longer.
                self._told, self._tell = self._tell(), list
            facts = self._told
        for gradient in self._late():
            # Not by equality: no NaN equals another.
            which, told = (gradient.capture, gradient.op, gradient.output), encode(gradient)
            if self._gradients.get(which) != told:
                self._gradients[which] = told
                facts.append(gradient)
        return facts

    @property
    def recording(self) -> Recording:
        """All that is known of the run: the facts in the order in which they were stated."""
        if self._recording is None and self.so_far is not None:
            return self.so_far()
        if self._recording is None:
            from pipetrace.tracefile import Recording

            facts = self.facts
            complete = self._complete
            self._recording = Recording(facts, {}, None) if complete is None else complete(facts)
        # Late gradients are added by asking for the facts.
        self._recording.facts[:] = self.facts
        return self._recording

    @recording.setter
    def recording(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def path(self) -> Path | None:
        """The run file, or None for a run in memory."""
        return self.recording.path

    @property
    def ops(self) -> Ops:
        """The ops of all captured forwards, in order, as a table.

        Gradients that a backward computes later are in the table that is asked for after it.
        """
        from pipetrace.ops import Ops

        facts = self.facts
        return Ops([fact for fact in facts if isinstance(fact, Op)],
                   [fact for fact in facts if isinstance(fact, Gradient)])  # fmt: skip

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
        from pipetrace.story.page import page

        return page(self.recording)

    def save(self, path: str | Path) -> Path:
        """Write the run to a file that `load` opens.

        Raises:
            RunFileError: the file exists, its folder cannot be written to, the run is not complete
                yet, or it is of several files.
        """
        from pipetrace.tracefile import Writer

        recording = self.recording
        if recording.ranks:
            raise RunFileError("This page is of several files, one for each rank: copy these.")
        if not recording.facts or (self._recording is None and self.so_far is not None):
            raise RunFileError("This run has nothing to save yet: save it after its `with` block.")
        writer = Writer(Path(path))
        for fact in recording.facts:
            writer.append(fact)
        for name, series in recording.series.items():
            writer.scalars(name, list(series))
        writer.close()
        if writer.trouble:
            writer.discard()
            raise RunFileError(f"{writer.trouble} Name a folder with room.")
        return Path(path)

    def __repr__(self) -> str:
        # A page's worth of facts is not made for this.
        path = None if self._recording is None else self.path
        where = "in memory" if path is None else str(path)
        return f"<Run {where}: {len(self.ops)} ops, {len(self.facts)} facts; {HINT}>"


class Comparison(Shown):
    """Two runs side by side; in a notebook it shows its page."""

    def __init__(self, a: Recording, b: Recording) -> None:
        self.a = a
        self.b = b

    def page(self) -> Page:
        """Return the page as blocks."""
        from pipetrace.story.differences.page import page

        return page(self.a, self.b)

    def __repr__(self) -> str:
        names = (recording.path or "in memory" for recording in (self.a, self.b))
        return f"<Comparison {' and '.join(map(str, names))}; {HINT}>"
