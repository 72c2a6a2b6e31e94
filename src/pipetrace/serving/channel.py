"""One loop looks at a source for all of its readers, and each is sent what is new to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from pipetrace.blocks import Crash, Page, Section
from pipetrace.serving.followed import Followed
from pipetrace.serving.sheet import Sheet

_LOOK = 0.025
_BREATH = 15.0


class Source(Protocol):
    """What readers follow."""

    pace: float
    """Seconds from one making to the next, at least."""

    @property
    def version(self) -> int:
        """Which version it is; 0 before it was first made."""

    @property
    def title(self) -> str:
        """What a document of it is called."""

    def stirred(self) -> bool:
        """Tell at next to no cost whether it may have changed."""

    def make(self) -> bool:
        """Make it anew, which may take a while, and tell whether it has changed."""

    def message(self, since: int) -> str:
        """Return what is new since a version, as one line of JSON."""


class Errands(Protocol):
    """What a reader may ask of the process behind a page."""

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of what may be asked."""

    def ask(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        """Do it, and return blocks as plain values."""


class RunSource:
    """The page of a run.

    Args:
        followed: Its files.
        errands: Returns what may be asked of the process behind it, None where there is none.
    """

    pace = 0.05

    def __init__(
        self, followed: Followed, errands: Callable[[], Errands | None] = lambda: None
    ) -> None:
        self.followed = followed
        self.errands = errands
        self._sheet = Sheet()
        self._actions: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """The version of the page."""
        return self._sheet.version

    @property
    def title(self) -> str:
        """The title of the page."""
        return self._sheet.title

    def stirred(self) -> bool:
        """Tell whether the page may have changed."""
        return self.followed.stirred() or self._offered() != self._actions

    def make(self) -> bool:
        """Make the page, and tell whether it has changed."""
        self._actions = self._offered()
        try:
            page = self.followed.page()
        except Exception as error:
            page = _broken(error)
        return self._sheet.put(page, self._actions)

    def message(self, since: int) -> str:
        """Return what has changed since a version."""
        return self._sheet.message(since)

    def _offered(self) -> tuple[str, ...]:
        errands = self.errands()
        return () if errands is None else errands.actions


class LessonSource:
    """The page of a lesson, which its tutor makes in this process.

    Args:
        page: Returns the page as it is now.
        errands: What may be asked of the tutor.
    """

    pace = 0.05

    def __init__(self, page: Callable[[], Page], errands: Errands) -> None:
        self._page = page
        self._errands = errands
        self._sheet = Sheet()
        self._renewed = True

    @property
    def version(self) -> int:
        """The version of the page."""
        return self._sheet.version

    @property
    def title(self) -> str:
        """The title of the page."""
        return self._sheet.title

    def renew(self) -> None:
        """Hear that the page has become another."""
        self._renewed = True

    def errands(self) -> Errands:
        """Return what may be asked."""
        return self._errands

    def stirred(self) -> bool:
        """Tell whether the page may have changed."""
        return self._renewed

    def make(self) -> bool:
        """Make the page, and tell whether it has changed."""
        self._renewed = False
        try:
            page = self._page()
        except Exception as error:
            page = _broken(error)
        return self._sheet.put(page, self._errands.actions)

    def message(self, since: int) -> str:
        """Return what has changed since a version."""
        return self._sheet.message(since)


def _broken(error: Exception) -> Page:
    text = f"{type(error).__name__}: {error}. It is made again when there is something new."
    crash = Crash(title="The page could not be made", text=text)
    section = Section(id="served", title="The page", blocks=(crash,))
    return Page(title="pipetrace", subtitle="", sections=(section,))


class Channel:
    """Readers of one source. All of it happens in one event loop but for the making."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.readers = 0
        self._making = asyncio.Lock()
        self._news = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    async def fresh(self) -> None:
        """Make the source anew if it may have changed."""
        async with self._making:
            if self.source.stirred() and await asyncio.to_thread(self.source.make):
                self._announce()

    async def messages(self, since: int) -> AsyncIterator[str]:
        """Yield what is new after a version, as server-sent events, until the reader leaves."""
        self.readers += 1
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._look())
        try:
            while not self._closed:
                news = self._news
                if self.source.version != since:
                    text = self.source.message(since if since <= self.source.version else 0)
                    since = self.source.version
                    yield f"id: {since}\ndata: {text}\n\n"
                    continue
                try:
                    await asyncio.wait_for(news.wait(), _BREATH)
                except TimeoutError:
                    # A connection that is gone is noticed when something is written to it.
                    yield ": still here\n\n"
        finally:
            self.readers -= 1

    def close(self) -> None:
        """Let all readers go."""
        self._closed = True
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _look(self) -> None:
        while self.readers and not self._closed:
            await asyncio.sleep(_LOOK)
            if not self.source.stirred():
                continue
            started = time.monotonic()
            await self.fresh()
            took = time.monotonic() - started
            # A page that takes long to make leaves the machine to the run for as long again.
            await asyncio.sleep(max(self.source.pace - took, took) - _LOOK)
