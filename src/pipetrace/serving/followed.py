"""A run that grows in memory as its files grow, and says what has become of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipetrace.blocks import Page, Section, Text
from pipetrace.errors import RunFileError
from pipetrace.following import Follower, joined, under_way
from pipetrace.story.page import page as tell
from pipetrace.tracefile import Recording, last_written

_OFTEN = 1.0
"""Seconds after which it is asked again which files there are, and whether their writer lives."""
_QUIET = 5.0
"""Seconds after which the page of a run that goes on is made again: it says how long ago."""
_GONE = "The run file is gone: it was moved or deleted."
Marks = tuple[tuple[Path, object, object], ...]


class _Part(NamedTuple):
    recording: Recording
    follower: Follower
    identity: tuple[int, int]


class Followed:
    """The files of one run, read as far as they have been written.

    What is new is added to what is known. A file that was replaced, or that nobody writes any
    more, is read anew.

    Args:
        find: Returns the files: one, or one for each rank; none where there is no run.
        missing: What to say as long as there was none; else that the run is gone.
        kinds: Read facts of these kinds only; everything where there are none.
    """

    def __init__(
        self, find: Callable[[], Sequence[Path]], missing: str = "", kinds: Sequence[str] = ()
    ) -> None:
        self._find = find
        self._missing = missing
        self._kinds = kinds
        self.recording: Recording | None = None
        self.trouble = ""
        """Why the files cannot be read now; empty where they can."""
        self._paths: list[Path] = []
        self._parts: dict[Path, _Part] = {}
        self._marks: Marks = ()
        self._asked = self._made = float("-inf")
        self._due = True
        self._running: bool | None = None

    @property
    def paths(self) -> Sequence[Path]:
        """The files that were read."""
        return self._paths

    def stirred(self) -> bool:
        """Tell whether a page that is made now could say more than the last one."""
        self._due = self._due or self._has_stirred()
        return self._due

    def _has_stirred(self) -> bool:
        now = time.monotonic()
        if now - self._asked >= _OFTEN:
            self._asked = now
            paths = list(self._find())
            if paths != self._paths:
                self._paths = paths
                return True
            if self._running and self.recording is not None:
                if under_way(self.recording) is not True:
                    return True
                if now - self._made >= _QUIET:
                    return True
        return _marks(self._paths) != self._marks

    def read(self) -> Recording | None:
        """Read what is new, and return all that is known; None where that is nothing."""
        self._made, self._due = time.monotonic(), False
        if not self._paths or any(_identity(path) != part.identity
                                  for path, part in self._parts.items()):  # fmt: skip
            # What is another file by now may lead out of the folder.
            self._paths = list(self._find())
        marks = _marks(self._paths)
        try:
            self._read()
            self.trouble = ""
        except RunFileError as error:
            self.trouble = str(error)
            self._parts.clear()
        self._marks = marks
        if self.recording is not None:
            self._running = under_way(self.recording)
        return self.recording

    def page(self) -> Page:
        """Read what is new, and return the page."""
        recording = self.read()
        if recording is None:
            return _without_a_run(self.trouble)
        page = tell(recording)
        if self.trouble:
            note = Section(id="served", title="The run file", blocks=(Text(
                text=f"{self.trouble} What stands on this page was read before.", tone="bad"
            ),))  # fmt: skip
            page = Page(title=page.title, subtitle=page.subtitle, contents=page.contents,
                        generator=page.generator, sections=(note, *page.sections))  # fmt: skip
        return page

    def _read(self) -> None:
        if not self._paths:
            missing = self._missing if self.recording is None else ""
            raise RunFileError(missing or _GONE)
        parts = {path: self._part(path) for path in self._paths}
        self._parts = parts
        self.recording = joined([part.recording for part in parts.values()])

    def _part(self, path: Path) -> _Part:
        known = self._parts.get(path)
        identity = _identity(path)
        if identity is None:
            raise RunFileError(_GONE)
        written = last_written(path)
        if known is None or known.identity != identity or not Path(f"{path}-wal").exists():
            # Only what is written ahead is known to be the same run, and longer.
            follower = Follower(path, kinds=self._kinds)
            news = follower.look()
            return _Part(Recording(news.facts, news.series, path, written), follower, identity)
        recording = known.recording
        news = known.follower.look()
        recording.facts += news.facts
        for name, values in news.series.items():
            if name in recording.series:
                recording.series[name].extend(values)
            else:
                recording.series[name] = values
        recording.written = written
        return known


def _without_a_run(why: str) -> Page:
    note = Section(id="served", title="The run file", blocks=(Text(text=why, tone="muted"),))
    return Page(title="A run - pipeline trace", subtitle="nothing to show yet", sections=(note,))


def _marks(paths: Sequence[Path]) -> Marks:
    return tuple((path, _mark(path), _mark(Path(f"{path}-wal"))) for path in paths)


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _mark(path: Path) -> object:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None
