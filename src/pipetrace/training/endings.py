"""A script that has ended is reported as Python reports it, and none of our frames are in it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from pipetrace.capture.places import is_ours
from pipetrace.training.signals import is_wrapper


def clean(error: BaseException) -> None:
    """Take our frames out of an exception's traceback, and out of those that it came from."""
    waiting: list[BaseException | None] = [error]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _clean(one.__traceback__)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def comes_from(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an exception is of a kind, or was raised while one of that kind was handled."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def report(error: BaseException) -> int:
    """Let the script's own `sys.excepthook` print an exception; return the exit code."""
    clean(error)
    sys.last_type, sys.last_value = type(error), error
    sys.last_traceback = error.__traceback__
    hook = getattr(sys, "excepthook", None)
    if hook is None:
        _say("sys.excepthook is missing")
        sys.__excepthook__(type(error), error, error.__traceback__)
        return 1
    try:
        hook(type(error), error, error.__traceback__)
    except SystemExit as left:
        return exit_code(left)
    except BaseException as failed:
        failed.__context__ = None
        clean(failed)
        _say("Error in sys.excepthook:")
        sys.__excepthook__(type(failed), failed, failed.__traceback__)
        _say("\nOriginal exception was:")
        sys.__excepthook__(type(error), error, error.__traceback__)
    return 1


def exit_code(left: SystemExit) -> int:
    """Return the code that a process ends with after `sys.exit`, printing what is no number.

    >>> exit_code(SystemExit(None)), exit_code(SystemExit(3)), exit_code(SystemExit(True))
    (0, 3, 1)
    """
    if left.code is None:
        return 0
    if not isinstance(left.code, int):
        _say(str(left.code))
        return 1
    code = left.code if -(2**63) <= left.code < 2**63 else -1
    return code % 256 if os.name == "posix" else code


@contextmanager
def threads_reported() -> Iterator[None]:
    """Keep our frames out of what a thread's exception prints."""
    original = threading.excepthook

    def excepthook(args: Any, /) -> None:
        if args.exc_value is not None:
            clean(args.exc_value)
        original(args)

    threading.excepthook = excepthook
    try:
        yield
    finally:
        if threading.excepthook is excepthook:
            threading.excepthook = original


def _clean(traceback: TracebackType | None) -> TracebackType | None:
    kept = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_ours(code) and not is_wrapper(code):
            kept.append(traceback)
        traceback = traceback.tb_next
    following = None
    for one in reversed(kept):
        one.tb_next = following
        following = one
    return following


def _say(text: str) -> None:
    with suppress(Exception):
        print(text, file=sys.stderr)
