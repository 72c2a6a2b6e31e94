"""The learner's own file: one event a line, added at the end, and never lost once it is told."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from pipetrace.errors import ArgumentsError, PipetraceError
from pipetrace.learned import Event, Review, Sitting
from pipetrace.learner import keeping

VARIABLE = "PIPETRACE_DATA"
"""Names the folder of the file, in place of the system's own for a user's data."""
NAME = "answers.jsonl"
LATEST = 32_503_680_000_000
"""The year 3000, in milliseconds since 1970: no event is later."""
RATINGS = range(1, 5)

_decoder = msgspec.json.Decoder(Event)
_FORMAT = "pipetrace answers 1"


class _Line(msgspec.Struct):
    """What is known of an event of any kind, also of one that a newer version wrote."""

    lesson: str = ""


class Log:
    """The file with all that a learner did.

    Attributes:
        path: Where it is; it is made with the first event.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Name the file: the learner's own, unless another one is given.

        Raises:
            PipetraceError: the folder for a user's data cannot be found.
        """
        # Whoever comes by a link is to wait at the same lock.
        self.path = (folder() / NAME if path is None else path).resolve()
        self._lock = self.path.with_name(f"{self.path.name}.lock")

    def append(self, event: Event) -> None:
        """Add an event; when this returns, it is on the disk.

        Raises:
            ArgumentsError: it is no event that could have happened.
            PipetraceError: it cannot be written: then nothing of it is in the file.
        """
        if not _possible(event):
            raise ArgumentsError(
                f"{event}: this cannot have happened. `at` is a time in milliseconds between 1970 "
                "and 3000; the rating of a card is 1, 2, 3 or 4; a test has no more right answers "
                "than questions."
            )
        with self._written(), keeping.locked(self._lock):
            keeping.add(self.path, msgspec.json.encode(event))

    def events(self, lesson: str | None = None) -> list[Event]:
        """Return what happened, the oldest first; what is no event is left out.

        Args:
            lesson: Of which lesson; of all by default.

        Raises:
            PipetraceError: the file cannot be read.
        """
        found = []
        # A page that heard no answer sends its event again: what is said twice happened once.
        for line in dict.fromkeys(self._lines()):
            # A torn line, or an event of a kind that a newer version wrote.
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                event = _decoder.decode(line)
                if lesson in (None, event.lesson) and _possible(event):
                    found.append(event)
        return sorted(found, key=lambda event: event.at)

    def reset(self, lesson: str | None = None) -> Path | None:
        """Begin anew: with one lesson, or with all. What was there stays beside it as a copy.

        Args:
            lesson: Which one; all by default.

        Returns:
            The copy, with a name that tells its date; None where there was nothing to take out.

        Raises:
            PipetraceError: the file cannot be read or written: then it is as it was.
        """
        with self._written(), keeping.locked(self._lock):
            lines = self._lines()
            kept = [line for line in lines if lesson is not None and _lesson(line) != lesson]
            if len(kept) == len(lines):
                return None
            copy = self._free(f"{datetime.now():%Y-%m-%d-%H%M%S}")
            keeping.write(copy, b"".join(line + b"\n" for line in lines))
            keeping.write(self.path, b"".join(line + b"\n" for line in kept))
            return copy

    def delete(self) -> list[Path]:
        """Delete the file and the copies that `reset` left; return what there was.

        Raises:
            PipetraceError: a file cannot be deleted.
        """
        if not self.path.parent.is_dir():
            return []
        with self._written(), keeping.locked(self._lock):
            stem, kind = glob.escape(self.path.stem), glob.escape(self.path.suffix)
            gone = [self.path] if self.path.exists() else []
            # The second pattern is what a process that was killed had not put in its place yet.
            for names in (f"{stem}-[0-9]*{kind}", f".{stem}*{kind}.*"):
                gone += sorted(self.path.parent.glob(names))
            for path in gone:
                path.unlink()
            return gone

    def export(self, path: Path) -> int:
        """Write a JSON document with all events and readable times; return how many there are.

        Events of a kind that a newer version wrote are in it too.

        Raises:
            PipetraceError: the file cannot be read, or the document cannot be written, or there is
                something at its place already.
        """
        events = list(self._plain())
        document = {"format": _FORMAT, "exported": readable(_now()), "events": events}
        if path.exists():
            raise PipetraceError(f"{path}: the file exists already. Name another place.")
        try:
            keeping.write(path, msgspec.json.format(msgspec.json.encode(document), indent=1))
        except OSError as error:
            raise PipetraceError(
                f"{path}: the export cannot be written ({error.strerror}). Name another place."
            ) from error
        return len(events)

    def _plain(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            try:
                event = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            at = event.get("at")
            if isinstance(at, int) and 0 <= at < LATEST:
                event = {"time": readable(at), **event}
            yield event

    def _lines(self) -> list[bytes]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PipetraceError(
                f"{self.path}: your answers cannot be read ({error.strerror})."
            ) from error
        return [line for line in data.split(b"\n") if line.strip()]

    def _free(self, date: str) -> Path:
        stem, kind = self.path.stem, self.path.suffix
        names = (f"{stem}-{date}{f'-{n}' if n else ''}{kind}" for n in range(1_000_000))
        return next(p for p in map(self.path.with_name, names) if not p.exists())

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _refuse(self.path, error)


def folder() -> Path:
    """Return the folder of the learner's file: PIPETRACE_DATA, or the system's for a user's data.

    Raises:
        PipetraceError: the package that finds it is missing.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    try:
        from platformdirs import user_data_path
    except ImportError as error:
        raise PipetraceError(
            f"To keep your answers the package {error.name} is needed, which is not installed: "
            f'pip install "pipetrace[learn]". Or name a folder for them in {VARIABLE}.'
        ) from None
    return user_data_path("pipetrace", appauthor=False)


def readable(at: int) -> str:
    """Write a time as ISO 8601 does.

    >>> readable(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    seconds, rest = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _possible(event: Event) -> bool:
    if isinstance(event, Review) and event.rating not in RATINGS:
        return False
    if isinstance(event, Sitting) and not 0 <= event.right <= event.total:
        return False
    return 0 <= event.at < LATEST


def _lesson(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Line).lesson
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _refuse(path: Path, error: OSError) -> NoReturn:
    raise PipetraceError(
        f"{path}: your answers cannot be kept there ({error.strerror}). Make room or make the "
        f"folder writable, or name another one in {VARIABLE}."
    ) from error
