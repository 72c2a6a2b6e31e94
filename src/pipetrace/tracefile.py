"""A run is one SQLite file: facts are appended, scalars packed, a reader may look at any time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from pipetrace.errors import RunFileError
from pipetrace.records import Fact, Record

APPLICATION = 0x50545243
"""SQLite's application_id of a run file: the letters PTRC."""
VERSION = 1
"""SQLite's user_version of a run file: the version of the format."""
SUFFIX = ".pipetrace"

_SCHEMA = (
    "CREATE TABLE facts (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB NOT NULL)",
)
_FACTS = "SELECT id, body FROM facts WHERE id > ? AND {} ORDER BY id"
_SERIES = "SELECT id, name, body FROM series WHERE id > ? ORDER BY id"
_SECONDS = 1.0
_SOON = 0.25
_HURRY = 0.2
_HURRY_SOON = 0.08
_TRIES = 50
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "lustre", "afs", "ceph"}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fact).decode
F = TypeVar("F", bound=Record)


class Recording:
    """All that a run has stated so far, in the order in which it was stated.

    Attributes:
        facts: What was stated.
        series: Numbers by name: `loss/0` and `rate/0` have one for each step of training 0, NaN
            where a step had none.
        path: The run file.
        written: When the file was last written to, in seconds since the epoch; None in memory.
        ranks: The recordings of all ranks of a launch, this one among them, where several were
            read together.
    """

    def __init__(
        self, facts: list[Fact], series: dict[str, array[float]], path: Path | None,
        written: float | None = None, ranks: tuple[Recording, ...] = (),
    ) -> None:  # fmt: skip
        self.facts = facts
        self.series = series
        self.path = path
        self.written = written
        self.ranks = ranks

    def all(self, kind: type[F]) -> list[F]:
        """Return every fact of a kind."""
        return [fact for fact in self.facts if type(fact) is kind]

    def first(self, kind: type[F]) -> F | None:
        """Return the first fact of a kind, or None."""
        return next((fact for fact in self.facts if type(fact) is kind), None)

    def last(self, kind: type[F]) -> F | None:
        """Return the last fact of a kind, or None."""
        return next((fact for fact in reversed(self.facts) if type(fact) is kind), None)


class Writer:
    """Appends facts to a run file, or to memory where `path` is None.

    What is appended reaches the file within a second of the next append, so that a killed process
    loses little. A disk that fills up stops the recording, never the program: `trouble` then says
    what happened.

    Raises:
        RunFileError: the file exists already, or its folder cannot be written to.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = None if path is None else path.absolute()
        self.trouble = ""
        self._facts: list[Fact] = []
        self._series: dict[str, array[float]] = {}
        self._pending: dict[str, array[float]] = {}
        self._flushed = 0
        self.flushed = time.perf_counter()
        """When what had been appended was written, by this clock."""
        self.patience = _SECONDS
        """For how many seconds what is appended may wait for the next flush."""
        self.soon = _SOON
        """The same for what a reader waits for: an epoch's facts."""
        self._lock = threading.RLock()
        self._database = None if path is None else _create(path)
        _writers.add(self)

    def append(self, fact: Fact) -> None:
        """Append one fact."""
        with self._lock:
            self._facts.append(fact)
        self.breathe()

    def scalars(self, name: str, values: list[float]) -> None:
        """Append values to the series `name`, as 64-bit floats.

        They wait for `breathe`: what belongs to one step in several series is flushed together.
        """
        if values:
            with self._lock:
                self._pending.setdefault(name, array("d")).extend(values)
                self._series.setdefault(name, array("d")).extend(values)

    def hurry(self) -> None:
        """Flush more often: somebody is watching."""
        self.patience, self.soon = _HURRY, _HURRY_SOON

    def breathe(self) -> None:
        """Flush if what was appended may wait no longer."""
        if self.due():
            self.flush()

    def due(self, seconds: float | None = None) -> bool:
        """Tell whether the last flush was so many seconds ago; `patience` by default."""
        waited = time.perf_counter() - self.flushed
        return waited >= (self.patience if seconds is None else seconds)

    def flush(self) -> None:
        """Write what was appended since the last flush."""
        with self._lock:
            self.flushed = time.perf_counter()
            if self._database is None:
                return
            try:
                with self._database as database:
                    database.executemany(
                        "INSERT INTO facts (kind, body) VALUES (?, ?)",
                        (
                            (fact.__struct_config__.tag, _pack(fact))
                            for fact in self._facts[self._flushed :]
                        ),
                    )
                    database.executemany(
                        "INSERT INTO series (name, body) VALUES (?, ?)",
                        ((name, values.tobytes()) for name, values in self._pending.items()),
                    )
            except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
                self.trouble = f"{self.path}: nothing more was recorded ({error})."
                # Closing would fold the log into the file, which may fail halfway as well.
                self.abandon()
                return
            self._flushed = len(self._facts)
            self._pending.clear()

    def abandon(self) -> None:
        """Write nothing more, without a word to SQLite: what was written stays as it is."""
        database, self._database = self._database, None
        if database is not None:
            _leak(database)

    def discard(self) -> None:
        """Remove the run file."""
        self.abandon()
        if self.path is not None:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Flush, and leave one file that can be handed around."""
        self.flush()
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                with contextlib.suppress(sqlite3.Error):
                    _leave_one_file(database)
                database.close()

    def recording(self) -> Recording:
        """Return what has been stated so far."""
        with self._lock:
            series = {name: array("d", values) for name, values in self._series.items()}
            return Recording(list(self._facts), series, self.path)


class News(NamedTuple):
    """What a run file holds after some position in it."""

    facts: list[Fact]
    series: dict[str, array[float]]
    position: tuple[int, int]
    """The last rows of both tables: what is stated later comes after them."""


def load(path: Path) -> Recording:
    """Read a run file, also one that is being written.

    Raises:
        RunFileError: there is no such file, or it is empty, damaged, of something else, or newer.
    """
    written = last_written(path)
    news = since(path, (0, 0))
    return Recording(news.facts, news.series, path, written)


def last_written(path: Path) -> float | None:
    """Return when a run file, or the log beside it, was last written to; None if it is gone."""
    times = []
    for file in (path, Path(f"{path}-wal")):
        with contextlib.suppress(OSError, ValueError):
            times.append(file.stat().st_mtime)
    return max(times, default=None)


def since(path: Path, position: tuple[int, int], kinds: Sequence[str] = ()) -> News:
    """Read what a run file holds after a position: one moment of it, also while it is written.

    Args:
        path: The run file.
        position: The last rows of both tables that are known.
        kinds: Read facts of these kinds only, and no series; everything where there are none.

    Raises:
        RunFileError: as `load`.
    """
    head = _head(path)
    if not head:
        raise RunFileError(f"{path}: the file is empty; no run was recorded into it.")
    if not head.startswith(b"SQLite format 3\0"[: len(head)]):
        raise RunFileError(f"{path}: this is not a run file of pipetrace.")
    if len(head) < 100:
        raise RunFileError(f"{path}: the run file is damaged: it ends inside its first 100 bytes.")
    for _ in range(_TRIES):
        if head[18] != 2 or Path(f"{path}-wal").exists():
            break
        # A writer that closes takes the log away a moment before it says so in the file.
        time.sleep(_SECONDS / _TRIES / 4)
        head = _head(path)
    else:
        raise RunFileError(
            f"{path}: the run was cut off while it was written, and the file "
            f"{path.name}-wal that belongs beside it is missing. Copy both."
        )
    facts: list[Fact] = []
    series: dict[str, array[float]] = {}
    fact, row = position
    try:
        with _opened(path) as database:
            # One transaction is one moment, also while somebody writes.
            database.execute("BEGIN")
            _recognise(path, database)
            chosen = f"kind IN ({', '.join('?' * len(kinds))})" if kinds else "TRUE"
            for last, body in database.execute(_FACTS.format(chosen), (fact, *kinds)):
                facts.append(cast("Fact", _decode(body)))
                fact = last
            for last, name, body in () if kinds else database.execute(_SERIES, (row,)):
                series.setdefault(name, array("d")).frombytes(body)
                row = last
    except (sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise RunFileError(f"{path}: the run file is damaged ({error}).") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    return News(facts, series, (fact, row))


def _create(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        path.open("xb").close()
    except FileExistsError as error:
        raise RunFileError(
            f"{path}: the file exists already, and runs are never written over."
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        database = sqlite3.connect(path, check_same_thread=False)
        database.execute(f"PRAGMA application_id={APPLICATION}")
        database.execute(f"PRAGMA user_version={VERSION}")
        for statement in _SCHEMA:
            database.execute(statement)
        if not _on_network(path):
            database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
    except sqlite3.Error as error:
        path.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    return database


def _pack(fact: Fact) -> bytes:
    """Encode a fact; what is no text (a surrogate, from an undecodable name) becomes `?`."""
    try:
        return _encode(fact)
    except UnicodeEncodeError:
        return _encode(_encodable(msgspec.to_builtins(fact, builtin_types=(bytes,))))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def _leave_one_file(database: sqlite3.Connection) -> None:
    """Fold the log into the file, which takes a moment in which nobody reads."""
    for _ in range(_TRIES):
        with contextlib.suppress(sqlite3.OperationalError):
            if database.execute("PRAGMA journal_mode=DELETE").fetchone() != ("wal",):
                return
        time.sleep(_SECONDS / _TRIES)


def _leak(database: sqlite3.Connection) -> None:
    """Keep a connection from ever being closed: closing writes, also in a forked process."""
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(database))


def _abandon_all() -> None:
    for writer in list(_writers):
        writer.abandon()


def unwritable(path: Path, error: Exception) -> RunFileError:
    """Return what says that a run file cannot be made here, and why."""
    reason = getattr(error, "strerror", None) or error
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a part of its path is a file"
    return RunFileError(
        f"{path.parent}: the run file {path.name} cannot be written here ({reason}). "
        "Name a folder that can be written to: --out DIR."
    )


def _unreadable(path: Path, error: Exception) -> RunFileError:
    reason = getattr(error, "strerror", None) or error
    return RunFileError(f"{path}: the run file cannot be read ({reason}).")


def _head(path: Path) -> bytes:
    """Return the first 100 bytes of what must be a plain file."""
    try:
        if path.is_dir():
            raise RunFileError(f"{path}: this is a folder. Name a run file in it.")
        if path.exists() and not path.is_file():
            raise RunFileError(f"{path}: this is not a plain file, so not a run file.")
        with path.open("rb") as file:
            return file.read(100)
    except FileNotFoundError as error:
        raise RunFileError(f"{path}: there is no such run file.") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _on_network(path: Path) -> bool:
    """Tell whether the folder lies on a network: WAL needs memory shared by readers and writer."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    folder = str(path.resolve())
    around = [mount for mount in mounts if folder.startswith(mount[0].rstrip("/") + "/")]
    return bool(around) and max(around, key=lambda mount: len(mount[0]))[1] in _NETWORK


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open read-only; where a reader may not share the log of a cut-off run, open a copy."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(_connected(path))
        try:
            database.execute("SELECT 1 FROM sqlite_master").fetchall()
        except sqlite3.OperationalError:
            log = Path(f"{path}-wal")
            if not log.exists():
                raise
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pipetrace-")))
            copy = folder / "run"
            shutil.copyfile(path, copy)
            shutil.copyfile(log, f"{copy}-wal")
            database = stack.enter_context(_connected(copy))
        yield database


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
    with contextlib.closing(database):
        yield database


def _recognise(path: Path, database: sqlite3.Connection) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise RunFileError(f"{path}: this is an SQLite file, but not a run file of pipetrace.")
    if version > VERSION:
        raise RunFileError(
            f"{path}: the file has format {version}, this pipetrace reads up to {VERSION}. "
            "Upgrade pipetrace."
        )
    schema = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    if tuple(schema) != tuple(("table", sql.split()[2], sql) for sql in _SCHEMA):
        raise RunFileError(f"{path}: the run file is damaged: its tables are not those of a run.")


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
