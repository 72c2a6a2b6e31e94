"""A file changes under a lock, by whole lines at its end or as a whole, and is then on the disk."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PRIVATE = 0o600


def add(path: Path, line: bytes) -> None:
    """Add one line to a file, and return once it is on the disk.

    The caller holds the lock. The line is given to the system in one piece. If a line before it
    was torn, by a loss of power for example, this one begins on a line of its own. If it cannot be
    written whole, nothing of it stays.

    Args:
        path: The file; made if it is missing, to be read by its owner alone.
        line: The line, without its end.

    Raises:
        OSError: it cannot be written.
    """
    new = not path.exists()
    # Without O_BINARY Windows would write two characters at the end of a line.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, _PRIVATE)
    try:
        size = os.fstat(descriptor).st_size
        data = (b"" if _ends(descriptor, size) else b"\n") + line + b"\n"
        try:
            written = os.write(descriptor, data)
            while written < len(data):
                # The disk is full: the next write says so.
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if new:
        _settle(path.parent)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: readers see the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _settle(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock while a block runs; other threads and other processes wait for it.

    Args:
        path: A file that is only there to be locked: it is made, stays empty, and is never
            replaced, as a file with content would be.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
    try:
        _lock(descriptor)
        try:
            yield
        finally:
            _unlock(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        while True:
            # It gives up after ten seconds.
            with contextlib.suppress(OSError):
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _settle(folder: Path) -> None:
        """Windows has no way to write a folder to the disk."""

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _settle(folder: Path) -> None:
        """Have the name of a new file on the disk too; some systems cannot do that."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _ends(descriptor: int, size: int) -> bool:
    """Tell whether a file ends with the end of a line, or is empty."""
    if not size:
        return True
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) == b"\n"
