"""`run --live`: this process serves, another one runs the script as if nobody watched it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipetrace import alive
from pipetrace.errors import RunFileError
from pipetrace.records import Provenance
from pipetrace.serving.errands import Line
from pipetrace.serving.followed import Followed
from pipetrace.serving.process import Served, served
from pipetrace.serving.shelf import Shelf
from pipetrace.tracefile import SUFFIX, since

if TYPE_CHECKING:
    from pipetrace.serving.app import Desk

_TICK = 0.05
_GRACE = 5.0
"""Seconds after the last reader after which a page that no terminal can end is served no more."""
_WAITING = "The script is being started: this page draws itself once it has said what runs."


class Sought:
    """The run file that a process makes in a folder: known by the process that it names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = set(self._files())
        self._found: list[Path] = []
        self.process = ""
        """What names the process, as `alive.of` returns it."""

    def find(self) -> list[Path]:
        """Return its path; nothing as long as it is not there."""
        if self._found or not self.process:
            return self._found
        for path in self._files():
            if path in self._before:
                continue
            with suppress(RunFileError):
                facts = since(path, (0, 0), ("provenance",)).facts
                self._before |= {path} if facts else set()
                if any(isinstance(one, Provenance) and self._is_its(one) for one in facts):
                    self._found = [path]
                    break
        return self._found

    def _is_its(self, origin: Provenance) -> bool:
        # On Windows the Python of a virtual environment starts another one.
        return origin.process == self.process or sys.platform == "win32"

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"*{SUFFIX}"))


def run_live(words: Sequence[str], out: Path, *, say: Callable[[str], None],
             opened: Callable[[str], None]) -> int:  # fmt: skip
    """Run a script in a process of its own, and serve its page from before it begins.

    Args:
        words: What `pipetrace run` is given there.
        out: The folder of its run file.
        say: Called with what a person should know.
        opened: Opens an address in a browser.

    Returns:
        The script's exit code; 128 and the signal's number where a signal ended it.

    Raises:
        PipetraceError: a package is missing, or the folder cannot be written to.
        KeyboardInterrupt: the script ended so, and the page is not served any more.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFileError(f"{out}: no folder can be made here ({error.strerror}).") from None
    sought, line = Sought(out), Line()
    begun = Followed(sought.find, _WAITING)

    def make() -> Desk:
        from pipetrace.serving.app import Desk
        from pipetrace.serving.channel import RunSource

        return Desk(Shelf(out), RunSource(begun, lambda: line if line.connected else None))

    try:
        with served(make, path="/run/live") as server, _pressed() as pressed:
            say(f"live page: {server.url}")
            opened(server.url)
            child = _start(words, line.environment)
            sought.process = alive.of(child.pid)
            try:
                looked = None
                while child.poll() is None and not line.connected:
                    time.sleep(_TICK)
                    looked = time.monotonic() if server.readers else looked
                    if signal.SIGTERM in pressed:
                        child.terminate()
                stays = signal.SIGTERM not in pressed and sought.find()
                pressed.clear()
                if stays:
                    _stay(server, child, line, pressed, say, looked)
            finally:
                line.close()
                child.wait()
    finally:
        line.close()
    return _code(child.returncode, line)


def _stay(
    server: Served, child: subprocess.Popen[bytes], line: Line, pressed: list[int],
    say: Callable[[str], None], looked: float | None,
) -> None:  # fmt: skip
    """Serve until Ctrl-C; without a terminal until nobody has looked for a while, or ever did."""
    person = sys.stdin is not None and sys.stdin.isatty()
    say(f"The script has ended. Its page stays at {server.url} until "
        + ("you press Ctrl-C." if person else "nobody looks at it any more."))  # fmt: skip
    while not pressed:
        time.sleep(_TICK)
        now = time.monotonic()
        if server.readers:
            looked = now
        if not person and (looked is None or now - looked > _GRACE):
            return
        if child.poll() is not None:
            line.lose()


def _start(words: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as in pip
    command = [sys.executable, *flags, "-m", "pipetrace", "run", *words]
    return subprocess.Popen(command, env={**os.environ, **environment})


@contextmanager
def _pressed() -> Iterator[list[int]]:
    """Collect Ctrl-C: the script gets it too, and what it makes of it is its own affair."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield pressed
        return
    # Not ignored, or the script would begin with it ignored.
    kept = {
        number: signal.signal(number, lambda number, frame: pressed.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield pressed
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _code(code: int, line: Line) -> int:
    if line.status and code == -signal.SIGINT:
        # Ctrl-C ended the wait for what readers ask, not the script.
        code = line.code
    if line.status == "interrupted" or code == -signal.SIGINT:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code
