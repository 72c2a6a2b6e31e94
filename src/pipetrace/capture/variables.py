"""The variables of a running function are read so that the program cannot tell."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any, TypeVar

Value = TypeVar("Value")
_LOOKS = frozenset({"locals", "vars", "eval", "exec"})


def look(frame: FrameType, at: Callable[[Mapping[str, Any]], Value]) -> Value | None:
    """Let somebody look at a frame's variables.

    Before Python 3.13 a function has one snapshot of them. Who reads it from outside writes into
    it, and `locals()` returns the same one: where the function may hold it nothing is looked at.

    Args:
        frame: A frame that is running.
        at: Is given the variables; it must not keep the mapping.

    Returns:
        What `at` returned; None where it was not asked.
    """
    if _shared(frame.f_code):
        return None
    known = frame.f_locals
    try:
        return at(known)
    finally:
        # The snapshot would keep the program's objects alive until the frame ends. Of a module, a
        # class or `exec` it is no snapshot, but the variables themselves.
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED and isinstance(known, dict):
            known.clear()


@functools.lru_cache(4096)
def _shared(code: CodeType) -> bool:
    """Tell a function that may hold the one snapshot of its variables, or keep more in it."""
    if sys.version_info >= (3, 13) or not code.co_flags & inspect.CO_OPTIMIZED:
        return False
    if _LOOKS.isdisjoint(code.co_names):
        return False
    # A name alone may be an attribute, as in `model.eval()`.
    called = (i for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
    return any(instruction.argval in _LOOKS for instruction in called)
