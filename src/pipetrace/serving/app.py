"""What can be asked of the server: the list, a run, its news, a comparison, an action."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pipetrace.errors import ArgumentsError, PipetraceError, RunFileError
from pipetrace.following import load_together
from pipetrace.serving import documents
from pipetrace.serving.channel import Channel, Errands, LessonSource, RunSource, Source
from pipetrace.serving.door import Door
from pipetrace.serving.followed import Followed
from pipetrace.serving.listing import Listing
from pipetrace.serving.shelf import Shelf
from pipetrace.story.differences.page import page as compare

LIVE = "live"
"""The id of the run that this server was started with, also before its file is there."""
KEPT = "learned"
"""The action that keeps what a learner did."""
_KEPT = 16
"""Runs that are kept in memory though nobody looks at them."""
_DIGITS = 20
_LARGEST = 65_536
"""Bytes of an action's arguments."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted to a run's `act`."""

    name: str
    arguments: dict[str, object] = {}


class Desk:
    """Answers every request, from the runs of one shelf.

    Args:
        shelf: The runs.
        begun: What this server was started for: a run that was begun with it, or a lesson.
    """

    def __init__(self, shelf: Shelf, begun: RunSource | LessonSource | None = None) -> None:
        self._shelf = shelf
        self._begun = begun
        self._channels: dict[str, Channel] = {}
        # What a process is asked for may take long: it must not wait in line with pages, and what
        # a learner answered must not wait in line with it.
        self._asking = ThreadPoolExecutor(1, "errand")
        self._keeping = ThreadPoolExecutor(1, "keeping")

    @property
    def readers(self) -> int:
        """How many follow something now."""
        return sum(channel.readers for channel in self._channels.values())

    def close(self) -> None:
        """Let all readers go."""
        for channel in self._channels.values():
            channel.close()
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._keeping.shutdown(wait=True)

    def app(self, token: str) -> Door:
        """Return the application, behind its door."""
        routes = [
            Route("/", self.runs),
            Route("/events", self.events),
            Route("/run/{id}", self.run),
            Route("/run/{id}/events", self.events),
            Route("/run/{id}/act", self.act, methods=["POST"]),
            Route("/compare/{a}/{b}", self.compare),
        ]
        return Door(Starlette(routes=routes), token)

    async def runs(self, request: Request) -> Response:
        """Answer with the list of runs."""
        source = await self._fresh("")
        assert source is not None
        return documents.runs(source.title, source.message(0))

    async def run(self, request: Request) -> Response:
        """Answer with the page of a run."""
        source = await self._fresh(request.path_params["id"])
        if source is None:
            return _no_run()
        return documents.run(source.title, source.message(0))

    async def events(self, request: Request) -> Response:
        """Answer with what becomes new, as long as the reader stays."""
        channel = self._channel(request.path_params.get("id", ""))
        if channel is None:
            return JSONResponse({"error": "There is no such run."}, 404)
        since = request.headers.get("last-event-id") or request.query_params.get("since", "0")
        # Python reads no number of thousands of digits.
        known = since.isdecimal() and len(since) < _DIGITS
        messages = channel.messages(int(since) if known else 0)
        return StreamingResponse(messages, media_type="text/event-stream")

    async def act(self, request: Request) -> Response:
        """Ask the process behind a run, and answer with the blocks that it answers."""
        channel = self._channel(request.path_params["id"])
        source = None if channel is None else channel.source
        errands = source.errands() if isinstance(source, (RunSource, LessonSource)) else None
        if errands is None:
            return _wrong("No process stands behind this run any more: nothing can be re-run.", 409)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return _wrong("These are more arguments than any action takes.", 413)
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except msgspec.MsgspecError as error:
            return _wrong(f"This is not an action: {error}.", 400)
        if asked.name not in errands.actions:
            return _wrong(f"There is no action {asked.name!r} here.", 404)
        try:
            loop = asyncio.get_running_loop()
            line = self._keeping if asked.name == KEPT else self._asking
            blocks = await loop.run_in_executor(line, errands.ask, asked.name, asked.arguments)
        except ArgumentsError as error:
            return _wrong(str(error), 400)
        except PipetraceError as error:
            return _wrong(str(error), 409)
        except Exception as error:
            return _wrong(f"{type(error).__name__}: {error}", 500)
        return JSONResponse({"blocks": blocks})

    async def compare(self, request: Request) -> Response:
        """Answer with two runs side by side."""
        runs = self._shelf.runs()
        a, b = (runs.get(request.path_params[key], []) for key in ("a", "b"))
        if not a or not b:
            return _no_run()
        if a == b:
            return documents.problem("One run", "These are one and the same run: choose two.", 400)

        def make() -> Response:
            return documents.page(compare(load_together(a), load_together(b)))

        try:
            return await asyncio.to_thread(make)
        except RunFileError as error:
            return documents.problem("These runs cannot be compared", str(error), 409)

    async def _fresh(self, id: str) -> Source | None:
        channel = self._channel(id)
        if channel is None:
            return None
        await channel.fresh()
        return channel.source

    def _channel(self, id: str) -> Channel | None:
        known = self._channels.pop(id, None)
        source = known or self._source(id)
        if source is None:
            return None
        # The last one asked for stands last.
        channel = self._channels[id] = source if isinstance(source, Channel) else Channel(source)
        idle = [key for key, each in self._channels.items() if not each.readers]
        for key in idle[: max(0, len(self._channels) - _KEPT)]:
            if key != id:
                del self._channels[key]
        return channel

    def _source(self, id: str) -> Source | None:
        if id == "":
            return Listing(self._shelf)
        if id == LIVE:
            return self._begun
        files = self._shelf.files(id)
        if not files:
            return None
        followed = Followed(lambda: self._shelf.files(id))
        return RunSource(followed, lambda: self._asked_of(files))

    def _asked_of(self, files: list[Path]) -> Errands | None:
        """Return what may be asked of the process behind a run: that which was begun here."""
        begun = self._begun
        if not isinstance(begun, RunSource) or list(begun.followed.paths) != files:
            return None
        return begun.errands()


def _no_run() -> Response:
    return documents.problem("No such run", "There is no such run in this folder any more.")


def _wrong(reason: str, status: int) -> Response:
    return JSONResponse({"error": reason}, status)
