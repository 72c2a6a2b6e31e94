"""A script runs as `__main__`, as plain Python would run it, and ends as it would have ended."""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import runpy
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, NoReturn

from pipetrace.training.endings import comes_from, exit_code, report, threads_reported
from pipetrace.training.imports import as_alone
from pipetrace.training.recorder import Stopped
from pipetrace.training.source import Script


class Ending(NamedTuple):
    """How a script ended."""

    status: str
    """`finished`, `raised`, `interrupted` or `stopped`."""
    code: int
    error: BaseException | None


def run(
    script: Script,
    watched: Callable[[], Any],
    ended: Callable[[], Any],
    left: Callable[[int], Any] = lambda code: None,
) -> Ending:
    """Execute a script between `watched()` and `ended()`, and tell how it ended.

    A traceback is printed by the script's own `sys.excepthook`, without our frames. The script's
    `__main__` stays in `sys.modules`: what it pickles at exit is looked up there. A process that
    the script forked ends here, as it would have ended alone.

    Args:
        script: What to run.
        watched: Called right before.
        ended: Called right after, whatever happened.
        left: Called with the exit code before the process ends through `os._exit`.

    Raises:
        SystemExit: in a process that the script forked.
    """
    process = os.getpid()
    sys.modules["__main__"] = _main(script)
    folder = None if sys.flags.safe_path else script.folder
    arguments = command = script.arguments
    if script.code is None:
        arguments, command = ("-m", *arguments[1:]), ("-m", *arguments)
    watched()
    with ExitStack() as stack:
        stack.enter_context(as_alone(folder, arguments, command))
        stack.enter_context(threads_reported())
        stack.enter_context(_exit_announced(stack, ended, left))
        ending = _execute(script)
    if os.getpid() != process:
        if ending.status == "interrupted":
            raise_interrupt()
        raise SystemExit(ending.code)
    ended()
    return ending


def raise_interrupt() -> NoReturn:
    """End as Python ends after Ctrl-C: exit handlers run, then the signal kills the process.

    Raises:
        KeyboardInterrupt: which is not printed again.
    """
    sys.excepthook = lambda *_: None
    raise KeyboardInterrupt


def _main(script: Script) -> types.ModuleType:
    """Make the module that a script finds itself in; `runpy` completes that of a module."""
    main = types.ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    main.__dict__["__builtins__"] = builtins
    if script.code is not None:
        main.__dict__.update(
            __loader__=importlib.machinery.SourceFileLoader("__main__", script.path),
            __file__=script.path, __cached__=None,
        )  # fmt: skip
    return main


def _execute(script: Script) -> Ending:
    try:
        if script.code is None:
            # The entry of `python -m` itself; it fills `sys.modules["__main__"]`.
            getattr(runpy, "_run_module_as_main")(script.arguments[0])  # noqa: B009  # untyped
        elif isinstance(script.code, SyntaxError):
            raise script.code
        else:
            exec(script.code, sys.modules["__main__"].__dict__)
    except SystemExit as error:
        if comes_from(error, Stopped):
            return Ending("stopped", 0, None)
        return Ending("finished", exit_code(error), None)
    except BaseException as error:
        if comes_from(error, Stopped):
            return Ending("stopped", 0, None)
        code = report(error)
        if isinstance(error, KeyboardInterrupt):
            return Ending("interrupted", 130, error)
        return Ending("raised", code, error)
    return Ending("finished", 0, None)


@contextmanager
def _exit_announced(
    stack: ExitStack, ended: Callable[[], Any], left: Callable[[int], Any]
) -> Iterator[None]:  # fmt: skip
    """Let a run be completed where `os._exit` ends its process: no exit handler runs then."""
    process, original = os.getpid(), os._exit

    def _exit(status: int) -> NoReturn:
        try:
            if os.getpid() == process:
                stack.close()
                ended()
                left(status)
        finally:
            original(status)

    os._exit = _exit
    try:
        yield
    finally:
        os._exit = original
