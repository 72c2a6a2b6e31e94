"""A run is one SQLite file: facts are appended, scalars are packed, a reader may look at any time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

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
_SECONDS = 1.0
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "lustre", "afs", "ceph"}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fact).decode
F = TypeVar("F", bound=Record)


class Recording:
    """All that a run has stated so far, in the order in which it was stated."""

    def __init__(self, facts: list[Fact], series: dict[str, array[float]], path: Path | None):
        self.facts = facts
        self.series = series
        self.path = path

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
        self.path = path
        self.trouble = ""
        self._facts: list[Fact] = []
        self._series: dict[str, array[float]] = {}
        self._pending: dict[str, array[float]] = {}
        self._flushed = 0
        self._due = time.monotonic() + _SECONDS
        self._lock = threading.RLock()
        self._database = None if path is None else _create(path)

    def append(self, fact: Fact) -> None:
        """Append one fact."""
        with self._lock:
            self._facts.append(fact)
        self.breathe()

    def scalars(self, name: str, values: list[float]) -> None:
        """Append values to the series `name`, as 64-bit floats."""
        with self._lock:
            self._pending.setdefault(name, array("d")).extend(values)
            self._series.setdefault(name, array("d")).extend(values)
        self.breathe()

    def breathe(self) -> None:
        """Flush if the last time was over a second ago."""
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what was appended since the last flush."""
        with self._lock:
            self._due = time.monotonic() + _SECONDS
            if self._database is None:
                return
            try:
                with self._database as database:
                    database.executemany(
                        "INSERT INTO facts (kind, body) VALUES (?, ?)",
                        (
                            (fact.__struct_config__.tag, _encode(fact))
                            for fact in self._facts[self._flushed :]
                        ),
                    )
                    database.executemany(
                        "INSERT INTO series (name, body) VALUES (?, ?)",
                        ((name, values.tobytes()) for name, values in self._pending.items()),
                    )
            except sqlite3.Error as error:
                self.trouble = f"{self.path}: {error}"
                self.abandon()
                return
            self._flushed = len(self._facts)
            self._pending.clear()

    def abandon(self) -> None:
        """Write nothing more, without a word to SQLite (as a forked child must)."""
        self._database = None

    def close(self) -> None:
        """Flush, and leave one file that can be handed around."""
        self.flush()
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("PRAGMA journal_mode=DELETE")
                database.close()

    def recording(self) -> Recording:
        """Return what has been stated so far."""
        with self._lock:
            series = {name: array("d", values) for name, values in self._series.items()}
            return Recording(list(self._facts), series, self.path)


def load(path: Path) -> Recording:
    """Read a run file, also one that is being written.

    Raises:
        RunFileError: there is no such file, or it is empty, damaged, of something else, or newer.
    """
    if not path.is_file():
        raise RunFileError(f"{path}: there is no such run file.")
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        raise RunFileError(f"{path}: the file is empty; no run was recorded into it.")
    if not head.startswith(b"SQLite format 3\0"):
        raise RunFileError(f"{path}: this is not a run file of pipetrace.")
    if len(head) < 100:
        raise RunFileError(f"{path}: the run file is damaged: it ends inside its first 100 bytes.")
    if head[18] == 2 and not Path(f"{path}-wal").exists():
        raise RunFileError(
            f"{path}: the run was cut off while it was written, and the file "
            f"{path.name}-wal that belongs beside it is missing. Copy both."
        )
    try:
        with contextlib.closing(_open(path)) as database:
            _recognise(path, database)
            facts = [
                _decode(body) for (body,) in database.execute("SELECT body FROM facts ORDER BY id")
            ]
            series: dict[str, array[float]] = {}
            for name, body in database.execute("SELECT name, body FROM series ORDER BY id"):
                series.setdefault(name, array("d")).frombytes(body)
    except (sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError) as error:
        raise RunFileError(f"{path}: the run file is damaged ({error}).") from error
    return Recording(cast("list[Fact]", facts), series, path)


def newest(folder: Path) -> Path:
    """Return the run file in `folder` that was made last.

    Raises:
        RunFileError: there is none.
    """
    runs = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    if not runs:
        raise RunFileError(
            f"{folder}: there is no run yet. `pipetrace run` makes one, "
            "or name a run file: `pipetrace show FILE`."
        )
    return runs[-1]


def free_path(folder: Path, name: str) -> Path:
    """Return a path in `folder` that no run has: NAME, NAME-2, NAME-3, ..."""
    numbers: Iterator[int] = iter(range(2, 1_000_000))
    path = folder / f"{name}{SUFFIX}"
    while path.exists() or path.with_suffix(".html").exists():
        path = folder / f"{name}-{next(numbers)}{SUFFIX}"
    return path


def _create(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("xb").close()
        database = sqlite3.connect(path, check_same_thread=False)
        database.execute(f"PRAGMA application_id={APPLICATION}")
        database.execute(f"PRAGMA user_version={VERSION}")
        for statement in _SCHEMA:
            database.execute(statement)
        if not _on_network(path):
            database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
    except FileExistsError as error:
        raise RunFileError(f"{path}: the file exists already, and runs are never written over.") \
            from error  # fmt: skip
    except (OSError, sqlite3.Error) as error:
        raise RunFileError(
            f"{path.parent}: a run file cannot be written here ({error}). "
            "Name a folder that can be written to: --out DIR."
        ) from error
    return database


def _on_network(path: Path) -> bool:
    """Tell whether the folder lies on a network: WAL needs memory shared by readers and writer."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    folder = str(path.resolve())
    around = [mount for mount in mounts if folder.startswith(mount[0].rstrip("/") + "/")]
    return bool(around) and max(around, key=lambda mount: len(mount[0]))[1] in _NETWORK


def _open(path: Path) -> sqlite3.Connection:
    """Open read-only; a WAL that nobody can share (a read-only folder) is read as it stands."""
    address = path.resolve().as_uri() + "?mode=ro"
    database = sqlite3.connect(address, uri=True)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        database.close()
        database = sqlite3.connect(address + "&immutable=1", uri=True)
    return database


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
    schema = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master ORDER BY rowid")]
    if tuple(schema) != _SCHEMA:
        raise RunFileError(f"{path}: the run file is damaged: its tables are not those of a run.")
