"""What a command prints, and where: the script's streams stay the script's."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipetrace.errors import PipetraceError

if TYPE_CHECKING:
    from pipetrace.blocks import Page

_RUN = b"SQLite format 3\0"
"""How a run file begins."""


def drop() -> None:
    """Let nothing more be written to an output that has failed: Python would complain at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(text: str | bytes) -> None:
    """Write an export to stdout as UTF-8, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text if isinstance(text, bytes) else text.encode())
    sys.stdout.flush()


def figures(page: Page, form: str, section: str | None, output: Path | None, run: Path) -> None:
    """Write a page's figures beside its run, one for each section, or one where it was named.

    Raises:
        PipetraceError: there is none, one file was named for several, or it cannot be written.
    """
    from pipetrace.views import figures

    names = figures.drawable(page) if section is None else [section]
    if output is not None and len(names) > 1:
        raise PipetraceError(
            f"--output names one file, and there are figures of {len(names)} sections. "
            f"Choose one: --section {names[0]} (or {', '.join(names[1:])})"
        )
    for name in names or [""]:
        drawn = figures.encoded(page, name, form)
        if str(output) == "-":
            write(drawn)
            return
        path = output or run.with_name(f"{run.stem}-{name}.{form}")
        export(path, drawn, named=output is not None, choice=f"--section {name} ")
        print(path, flush=True)


def export(path: Path, text: str | bytes, *, named: bool = True, choice: str = "") -> None:
    """Write an export to a file: over one that was named, but never over a run.

    Raises:
        PipetraceError: there is a run, or a file that nobody named, or it cannot be written.
    """
    other = "Name another place: --output PATH"
    try:
        if path.is_file() and _begins(path) == _RUN:
            raise PipetraceError(f"{path}: this is a run, and runs are never written over. {other}")
        if path.exists() and not named:
            ours = not choice and path.suffix == ".html"
            reason = "; `run`, `fit` and `trace` write the page there" if ours else ""
            raise PipetraceError(
                f"{path}: the file exists already{reason}. "
                f"To write over it, name it: {choice}--output {shlex.quote(str(path))}"
            )
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    except OSError as error:
        raise PipetraceError(
            f"{path}: the export cannot be written ({error.strerror}). {other}"
        ) from error


def require_writable(path: Path) -> None:
    """Require that an export can be written there, before what takes long begins.

    Raises:
        PipetraceError: it cannot, or there is a run.
    """
    reason = None
    if path.is_file() and _begins(path) == _RUN:
        reason = "this is a run, and runs are never written over"
    elif path.is_dir() or not path.parent.is_dir():
        reason = "this is a folder" if path.is_dir() else "there is no such folder"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "nothing can be written there"
    if reason:
        raise PipetraceError(f"{path}: {reason}. Name another place: --output PATH")


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_RUN))


@contextlib.contextmanager
def ours(stream: TextIO | None, as_json: bool) -> Iterator[TextIO]:
    """Give a way to a stream that stays ours: a script may close, replace or redirect it.

    For JSON everything else that is printed from now on, by subprocesses and exit handlers too,
    goes to stderr.
    """
    try:
        number = os.dup(stream.fileno())  # type: ignore[union-attr]  # None is caught below
    except (AttributeError, OSError, ValueError):
        yield stream or io.StringIO()
        return
    assert stream is not None
    if as_json:
        stream.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2, stream.fileno())
    encoding = "utf-8" if as_json else stream.encoding
    ours = os.fdopen(number, "w", encoding=encoding, errors="backslashreplace")
    try:
        yield ours
    finally:
        with contextlib.suppress(OSError):
            ours.close()


def shower(
    ours: TextIO, *, as_json: bool, quiet: bool, open_page: bool, ops: bool = False
) -> Callable[[Any], None]:  # fmt: skip
    """Return what shows a complete run; that it cannot be shown is never the script's failure."""
    start = Path.cwd()

    def show(run: Any) -> None:
        from pipetrace.naming import ranks_of
        from pipetrace.story.page import head
        from pipetrace.views import data, terminal

        page = run.path.with_suffix(".html")
        try:
            if as_json:
                print(data.render(run.page()), file=ours)
            elif ops:
                wide = {} if ours.isatty() else {"width": 10_000}
                print(run.ops.text(**wide), file=ours)
            elif not quiet:
                part = head(run.recording)
                terminal.show(part or run.page(), file=ours)
                print(paths(start, run.path), end="", file=ours)
                if part:
                    every = ranks_of(_from(start, run.path))
                    print(f"  more  pipetrace show {shlex.quote(str(every))}", file=ours)
            ours.flush()
        except BrokenPipeError:
            pass
        except Exception as error:
            with contextlib.suppress(Exception):
                reason = f"{type(error).__name__}: {error}"
                print(f"pipetrace: the page could not be printed ({reason}).", file=sys.stderr)
        if open_page and page.exists():
            open_in_browser(page)

    return show


def paths(start: Path, run: Path | None) -> str:
    """Say where a run's page and file are, those that there are, as seen from a folder."""
    files = {} if run is None else {"page": run.with_suffix(".html"), "run ": run}
    said = [f"  {what}  {_from(start, path)}" for what, path in files.items() if path.exists()]
    return "\n".join(["", *said, ""]) if said else ""


def open_in_browser(page: Path | str) -> None:
    """Open a page that was written, or an address, in the browser."""
    import webbrowser

    webbrowser.open(page if isinstance(page, str) else page.absolute().as_uri())


def open_address(url: str) -> None:
    """Open an address in a browser with a window: one of text would take the terminal over."""
    shown = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if shown:
        threading.Thread(target=open_in_browser, args=(url,), daemon=True).start()


def _from(start: Path, path: Path) -> Path:
    return path.relative_to(start) if path.is_relative_to(start) else path


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[object], None] | None]:
    """Give what rewrites one line of stderr; None where that is no terminal.

    The line is gone at the end, whatever ends it: what is printed next begins on an empty line.
    """
    stream = sys.stderr
    if quiet or stream is None or not stream.isatty():
        yield None
        return
    width = 0

    def write(words: object) -> None:
        nonlocal width
        with contextlib.suppress(OSError):
            room = os.get_terminal_size(stream.fileno()).columns or 80
            line = str(words)[: room - 1]
            width = max(width, len(line))
            stream.write(f"\r{line:{width}}")
            stream.flush()

    try:
        yield write
    finally:
        with contextlib.suppress(OSError):
            stream.write(f"\r{'':{width}}\r" if width else "")
            stream.flush()
