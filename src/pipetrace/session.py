"""One recording, from the line that says what runs to the page that shows it."""

from __future__ import annotations

import contextlib
import datetime
import linecache
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import pipetrace
from pipetrace import alive
from pipetrace.blocks import AnyBlock
from pipetrace.capture import places
from pipetrace.capture.failures import failure
from pipetrace.capture.kept import Kept
from pipetrace.errors import RunFileError
from pipetrace.launch import Rank, launched
from pipetrace.lessons import select
from pipetrace.observed import Calls
from pipetrace.observing import allowance
from pipetrace.observing.observer import Observer
from pipetrace.observing.witnesses import witnesses
from pipetrace.probes import rerun
from pipetrace.probes.execute import execute
from pipetrace.probes.trials.every import TRIALS
from pipetrace.probes.trials.trial import carried_out, subjects
from pipetrace.records import (
    Ended,
    Fact,
    Failure,
    Model,
    Notice,
    Op,
    Place,
    Provenance,
    Selection,
    SourceText,
)
from pipetrace.runs import Run
from pipetrace.story import again
from pipetrace.story.page import page as tell
from pipetrace.tracefile import Recording, Writer
from pipetrace.training.recorder import Recorder
from pipetrace.views import html

_GIT_SECONDS = 2.0
_LARGE = 400_000
_TRIALS = 30.0
"""Seconds that trials may take where the program itself was faster; else as long as it took."""
current: Session | None = None
"""The session in progress: `epochs()` marks its epochs."""


class Session:
    """A recording in progress, in the process that made it.

    Args:
        name: What the page calls it.
        origin: `example`, `script`, `module`, `table`, `python` or `notebook`.
        file: The run file to make; None keeps the facts in memory.
        path: The script or table.
        command: What was typed after `pipetrace`.
        steps: Stop after so many optimizer steps.
        values: Whether rows of real values are kept.
        source: Whether source text is kept.
        sample: Which held-out row the prediction is about.
        watching: Whether it will watch; facts that are known already may be stated at any time.
        live: Whether the model is kept alive after the end, so that a page may run it again.
        checking: Whether the loop is observed for the rules on silent bugs, and trials are made.
        frugal: Whether that may cost little time only.
        lean: Whether only what rules read is stated: no prediction, questions or versions.
        selection: Which rules the page asks; all where it is None.

    Raises:
        RunFileError: the run file cannot be made, or another recording is in progress.
    """

    def __init__(
        self, name: str, origin: str, *, file: Path | None = None, path: str = "",
        command: Sequence[str] = (), steps: int | None = None, values: bool = True,
        source: bool = True, sample: int = 0, watching: bool = True, live: bool = False,
        checking: bool = False, frugal: bool = False, lean: bool = False,
        selection: Selection | None = None,
    ) -> None:  # fmt: skip
        self._process = os.getpid()
        if watching and current is not None and current._process == self._process:
            raise RunFileError("A recording is in progress already: recordings do not nest.")
        self._started = started = time.perf_counter()
        self._unwritten = ""
        self.writer = Writer(file)
        self.recorder = Recorder(self.writer, steps=steps, values=values, sample=sample, lean=lean)
        self.observer: Observer | None = None
        if checking:
            spared = allowance.Allowance() if frugal else None
            self.observer = Observer(self.recorder, witnesses(self.recorder), allowance=spared)
            self.recorder.watch.beside = self.observer
        self.recorder.kept.alive = live
        self._path = path
        self._steps = steps
        self._source, self._lean = source, lean
        self._frugal = frugal
        folder = str(Path(path).absolute().parent if path else Path.cwd())
        where = None if lean else folder
        self.writer.append(_provenance(name, origin, path, command, where, values, source))
        if selection is not None:
            self.writer.append(selection)
        self.writer.flush()
        if self.writer.trouble:
            self.writer.discard()
            raise RunFileError(f"{self.writer.trouble} Name a folder with room: --out DIR.")
        places.quote(self, source)
        self.recorder.spend("opening", started)

    def begin(self) -> None:
        """Start to watch."""
        global current
        current = self
        try:
            self.recorder.begin()
            if self.observer is not None:
                self.observer.begin()
        except BaseException:
            current = None
            raise

    def end(self) -> None:
        """Stop to watch: after this the program is no longer slowed."""
        global current
        current = None
        try:
            self.recorder.end()
        except Exception as error:
            self._excuse("end", "The end of the recording is missing", error)
        if self.observer is not None and os.getpid() == self._process:
            self.observer.end()
            started = time.perf_counter()
            found = subjects(self.observer.calls.captured, self.writer.recording().all(Calls))
            longest = max(_TRIALS, started - self._started)
            if self._frugal:
                longest = allowance.TRIALS
            for fact in carried_out(TRIALS, found, longest):
                self.writer.append(fact)
            self.recorder.spend("trials", started)

    def quiet(self) -> contextlib.AbstractContextManager[None]:
        """Hear nothing of what this thread runs inside."""
        return self.recorder.watch.quiet()

    def said(self, value: Any) -> None:
        """Take note of what a step of the program returned."""
        if self.observer is not None:
            self.observer.said(value)

    @property
    def stopped(self) -> bool:
        """Whether as many optimizer steps were taken as were asked for."""
        return self._steps is not None and self.recorder.course.steps >= self._steps

    @property
    def trouble(self) -> str:
        """What could not be written, and why; empty where all was."""
        return " ".join(filter(None, (self.writer.trouble, self._unwritten)))

    def close(
        self, status: str = "finished", code: int = 0, error: BaseException | None = None,
        *, page: Path | None = None,
    ) -> Recording:  # fmt: skip
        """State how it ended, ask the questions, write the page, and close the file.

        Args:
            status: `finished`, `raised`, `interrupted` or `stopped`.
            code: The program's exit code.
            error: What it raised.
            page: Where to write the HTML page; None writes none.

        Returns:
            All that was recorded. In a forked process nothing is done: the run is its parent's.
        """
        if os.getpid() != self._process:
            return self.writer.recording()
        writer, spend = self.writer, self.recorder.spend
        seconds = time.perf_counter() - self._started
        if error is not None and status == "raised":
            writer.append(self._failure(error))
        self._explain_nothing()
        self._quote()
        started = time.perf_counter()
        try:
            for question in () if self._lean else self._questions():
                writer.append(question)
        except Exception as error:
            self._excuse("questions", "The questions could not be made", error)
        spend("questions", started)
        started = time.perf_counter()
        if page is not None:
            self._write(page, self._ended(status, code, seconds))
        spend("page", started)
        writer.append(self._ended(status, code, seconds))
        writer.close()
        places.quote(self, True)
        return writer.recording()

    def _questions(self) -> Sequence[Fact]:
        """Ask about the forwards that the page shows; another run is asked other questions."""
        recording = self.writer.recording()
        origin = recording.first(Provenance)
        seed = zlib.crc32(origin.started.encode()) if origin is not None else 0
        return select.questions(recording, execute, seed).questions

    def _ended(self, status: str, code: int, seconds: float) -> Ended:
        return Ended(status=status, code=code, seconds=seconds, costs=dict(self.recorder.costs))

    def _write(self, path: Path, ended: Ended) -> None:
        recording = self.writer.recording()
        recording.facts.append(ended)
        try:
            html.write(tell(recording), path)
        except Exception as error:
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            self._unwritten = f"{path}: the page could not be written ({reason})."

    def _excuse(self, id: str, what: str, error: Exception) -> None:
        """Say that something of ours failed: it must not become the program's failure."""
        self.writer.append(Notice(id=id, text=f"{what}: {type(error).__name__}: {error}"))

    def _failure(self, error: BaseException) -> Failure:
        known = self.recorder.failure
        failed = known[1] if known is not None and known[0] == id(error) else None
        return failure(error, failed)

    def _explain_nothing(self) -> None:
        """Say what was seen where no model was."""
        if self.recorder.forwards:
            return
        seen = f"{_times(self.recorder.course.steps, 'optimizer step')} and " + _times(
            self.recorder.backwards, "backward"
        )
        self.writer.append(
            Notice(
                id="no-forward",
                text=f"No forward of an nn.Module was seen; what was seen: {seen}. A module is "
                "seen when it is called, model(x), in the process and thread that was started.",
            )
        )

    def _quote(self) -> None:
        """Keep the text of the files whose lines are named."""
        if not self._source:
            return
        files = dict.fromkeys(_files(self.writer.recording(), self._path))
        for file in files:
            text = "".join(linecache.getlines(file))
            if 0 < len(text) <= _LARGE:
                self.writer.append(SourceText(path=file, text=text))


def completed(
    session: Session, status: str, code: int, error: BaseException | None = None,
    *, with_page: bool = False,
) -> Run:  # fmt: skip
    """Close a recording and return its run; what could not be written is said once, on stderr."""
    file = session.writer.path
    page = file.with_suffix(".html") if file is not None and with_page else None
    try:
        recording = session.close(status, code, error, page=page)
    except KeyboardInterrupt:
        session.writer.close()
        raise
    if session.trouble:
        with contextlib.suppress(Exception):
            print(f"pipetrace: {session.trouble}", file=sys.stderr)
    run = Run(recording)
    run.actions.update(actions(session.recorder.kept.forwards, lambda: recording))
    return run


def actions(
    kept: Mapping[int, Kept], told: Callable[[], Recording]
) -> dict[str, Callable[[dict[str, Any]], list[AnyBlock]]]:  # fmt: skip
    """Return what a page may ask of this process: `rerun`, where a forward is at hand.

    Args:
        kept: The forwards at hand, by the ids of their captures.
        told: Returns what the page shows.
    """

    def run_again(arguments: dict[str, Any]) -> list[AnyBlock]:
        wanted = rerun.asked(arguments)
        with contextlib.nullcontext() if current is None else current.quiet():
            recording = told()
            found = rerun.rerun(kept, recording.facts, wanted)
        return again.told(recording, again.Wish(*wanted), found.op, found.facts, found.off)

    return {"rerun": run_again} if kept else {}


def origin() -> str:
    """Return `notebook` inside of IPython, else `python`."""
    shell = sys.modules.get("IPython")
    return "python" if shell is None or shell.get_ipython() is None else "notebook"


def _files(recording: Recording, path: str) -> Iterable[str]:
    if path.endswith(".py"):
        yield path
    made: list[Place | None] = [part.made for m in recording.all(Model) for part in m.modules]
    called = [op.called for op in recording.all(Op)]
    seen = [getattr(fact, "place", None) for fact in recording.facts]
    files = dict.fromkeys(place.file for place in (*made, *called, *seen) if place is not None)
    # Of installed packages a line is named, but their text is not the user's to hand around.
    yield from (file for file in files if places.is_users(compile("", file, "exec")))


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _provenance(
    name: str, origin: str, path: str, command: Sequence[str], folder: str | None, values: bool,
    source: bool,
) -> Provenance:  # fmt: skip
    commit = None if folder is None else _git(folder, "rev-parse", "HEAD")
    rank = launched() or Rank(0, 1)
    changed = (
        None if commit is None or folder is None else _git(folder, "status", "--porcelain", "-uno")
    )
    numpy = sys.modules.get("numpy")
    versions = {
        "pipetrace": pipetrace.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": "" if numpy is None else str(numpy.__version__),
    }
    return Provenance(
        name=name, origin=origin, path=path, command=tuple(command), folder=folder or "",
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        versions={key: value for key, value in versions.items() if value},
        platform=f"{platform.system()} {platform.machine()}", threads=torch.get_num_threads(),
        commit=commit, dirty=None if changed is None else bool(changed),
        values=values, source=source, rank=rank.number, world=rank.world, process=alive.own(),
    )  # fmt: skip


def _git(folder: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", folder, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_GIT_SECONDS,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
