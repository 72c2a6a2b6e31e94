"""What a signal handler of the program raises is the program's, wherever it was raised."""

from __future__ import annotations

import signal
from types import CodeType


def pass_on(error: BaseException) -> None:
    """Raise an exception again that came out of a signal handler: a time limit, for example.

    A handler runs between any two instructions, those of a replay too. Whoever takes an exception
    for a failure of what he runs asks this first.

    Args:
        error: What was caught.

    Raises:
        BaseException: the same, if a handler that is installed now is among its frames.
    """
    codes = set(map(_code, map(signal.getsignal, signal.valid_signals()))) - {None}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            raise error
        traceback = traceback.tb_next


def _code(handler: object) -> CodeType | None:
    """Return the code of a function, a method, a partial of one, or an object that is called."""
    handler = getattr(handler, "func", handler)
    found = getattr(handler, "__code__", None)
    if found is None and callable(handler):
        found = getattr(type(handler).__call__, "__code__", None)
    return found if isinstance(found, CodeType) else None
