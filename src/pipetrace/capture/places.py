"""Lines of the user's code: the one that called an op, and the one that made a module."""

from __future__ import annotations

import linecache
import os
import site
import sys
import sysconfig
import weakref
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

from torch import nn

from pipetrace.records import Place

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_EXAMPLES = os.path.join(_OURS, "examples")
_PIPELINE = os.path.join(_OURS, "pipeline")
_INSTALLED = tuple(
    {os.path.realpath(path) + os.sep
     for path in (*site.getsitepackages(), site.getusersitepackages(),
                  *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))}
)  # fmt: skip
_quoting = True
_users: dict[CodeType, bool] = {}
_made: dict[int, tuple[weakref.ref[nn.Module], Place]] = {}


def is_ours(code: CodeType) -> bool:
    """Tell whether code belongs to pipetrace, its example pipelines apart."""
    name = code.co_filename
    return name.startswith(_OURS) and not name.startswith((_EXAMPLES, _PIPELINE))


def is_users(code: CodeType) -> bool:
    """Tell whether code belongs to the user: not torch, not installed, not pipetrace."""
    known = _users.get(code)
    if known is None:
        name = code.co_filename
        if is_ours(code) or name.startswith("<frozen"):
            known = False
        elif name.startswith(_OURS):
            known = True
        else:
            known = not os.path.realpath(name).startswith(_INSTALLED)
        _users[code] = known
    return known


def quote(on: bool) -> None:
    """Say whether places from now on carry the text of their lines."""
    global _quoting
    _quoting = on


def here(frame: FrameType | None) -> Place | None:
    """Return the innermost line of the user's code at or outside `frame`."""
    while frame is not None:
        if is_users(frame.f_code):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def place(code: CodeType, line: int) -> Place:
    """Return a line of some code with its text."""
    text = linecache.getline(code.co_filename, line).strip() if _quoting else ""
    name = "" if code.co_name == "<module>" else code.co_name
    return Place(file=code.co_filename, line=line, text=text[:200], function=name)


def places(traceback: TracebackType | None) -> tuple[Place, ...]:
    """Return the user's lines in a traceback, outermost first."""
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_users(code):
            found.append(place(code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return tuple(found)


def maker(module: nn.Module) -> Place | None:
    """Return the line that made a module, where it was watched."""
    known = _made.get(id(module))
    return known[1] if known is not None and known[0]() is module else None


def watch_making() -> Callable[[], None]:
    """Note from now on which line makes each module; the returned call ends it."""
    original = nn.Module.__init__

    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            # A constructor's own line is inside the class: the maker is whoever called it.
            if not (code.co_name == "__init__" and _is_self(frame, self)) and is_users(code):
                _made[id(self)] = (weakref.ref(self), place(code, frame.f_lineno))
                return
            frame = frame.f_back

    __init__.__doc__ = original.__doc__
    nn.Module.__init__ = __init__  # type: ignore[method-assign]  # put back by `end`

    def end() -> None:
        nn.Module.__init__ = original  # type: ignore[method-assign]  # the original again

    return end


def _is_self(frame: FrameType, module: nn.Module) -> bool:
    names = frame.f_code.co_varnames
    return bool(names) and frame.f_locals.get(names[0]) is module
