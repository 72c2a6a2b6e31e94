"""Whether the process that writes a run still lives, as far as this machine can tell."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path


def own() -> str:
    """Return what names this process on this machine since it was started, and says no more.

    The machine is a digest: a run file is handed around.
    """
    return of(os.getpid())


def of(pid: int) -> str:
    """Return what `own` returns in another process of this machine, while that one lives."""
    return f"{_machine()}/{pid}/{_born(pid)}"


def lives(process: str) -> bool | None:
    """Tell whether the process that `own` named is still there; None where nobody here can know.

    >>> lives(own()), lives("another machine/1/2"), lives("")
    (True, None, None)
    """
    machine, _, rest = process.partition("/")
    pid, _, born = rest.partition("/")
    if machine != _machine() or not pid.isdecimal() or sys.platform == "win32":
        return None
    if born:
        return _born(int(pid)) == born
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _machine() -> str:
    """Digest what names this machine, its boot, and the list of processes that is seen here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        name = f"{boot}{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        import platform

        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _born(pid: int) -> str:
    """Return when a process was started, in ticks since boot; empty where that is not told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    # The name in brackets may hold spaces; a process that has ended waits for its parent as Z.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
