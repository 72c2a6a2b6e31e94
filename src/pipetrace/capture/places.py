"""Lines of the user's code: the one that called an op, and the one that made a module."""

from __future__ import annotations

import linecache
import os
import site
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from pipetrace.capture.variables import look
from pipetrace.records import Place

Function = TypeVar("Function", bound=Callable[..., Any])
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_SHOWN = (os.path.join(_OURS, "examples", ""), os.path.join(_OURS, "pipeline", ""))
_INSTALLED = tuple(
    {os.path.realpath(path) + os.sep
     for path in (*site.getsitepackages(), site.getusersitepackages(), *torch.__path__,
                  *map(sysconfig.get_path, ("stdlib", "purelib", "platlib", "scripts")))}
)  # fmt: skip
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_GENERATED = ("<frozen", "<eval_with_key>", "<attrs generated", "<__array_function__")
_TORCH = tuple(os.path.realpath(path) + os.sep for path in torch.__path__)
_unquoted: set[object] = set()
"""Who wants places without text: while there is one they have none."""
_edges: set[CodeType] = set()
_owned: dict[int, tuple[CodeType, str]] = {}
_users: dict[str, bool] = {}
_made: dict[int, tuple[weakref.ref[nn.Module], Place]] = {}


def is_ours(code: CodeType) -> bool:
    """Tell whether code belongs to pipetrace, its example pipelines apart."""
    return code.co_filename.startswith(_OURS) and not code.co_filename.startswith(_SHOWN)


def is_users(code: CodeType) -> bool:
    """Tell whether code belongs to the user: not torch, not installed, not pipetrace."""
    # By name: code objects of different files compare equal where their lines do.
    name = code.co_filename
    known = _users.get(name)
    if known is None:
        known = _users[name] = name.startswith(_SHOWN) or not (
            is_ours(code) or name.startswith(_GENERATED) or _installed(os.path.realpath(name))
        )
    return known


def _installed(path: str) -> bool:
    return path.startswith(_INSTALLED) or any(folder in path for folder in _PACKAGES)


def quote(who: object, on: bool) -> None:
    """Say whether places from now on may carry the text of their lines: all must agree to it."""
    (_unquoted.discard if on else _unquoted.add)(who)


@contextmanager
def quoted(on: bool) -> Iterator[None]:
    """Say it for a while."""
    who = object()
    quote(who, on)
    try:
        yield
    finally:
        quote(who, True)


def here(frame: FrameType | None) -> Place | None:
    """Return the innermost line of the user's code at or outside `frame`."""
    while frame is not None:
        if is_users(frame.f_code):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def edge(function: Function) -> Function:
    """Mark a function of ours that no code of the user has called: no line lies outside of it."""
    _edges.add(function.__code__)
    return function


class Spot(NamedTuple):
    """A line of running code, before anybody has asked for its text."""

    code: CodeType
    line: int
    rank: int
    """2 for a line of the user's inside the forward, 1 for one of an installed package there, 0
    for the user's line that called the model."""

    def place(self) -> Place:
        """Return it with its text."""
        return place(self.code, self.line)


def spot(frame: FrameType | None, until: CodeType) -> Spot | None:
    """Return the innermost line of the user's code from `frame` outwards.

    Args:
        frame: Where to begin.
        until: The code at whose first frame the search ends.

    Returns:
        Where there is no code of the user: the innermost line of a package that is not PyTorch.
    """
    second = None
    while frame is not None:
        code = frame.f_code
        if code is until:
            break
        # By id: the hash of a code object is that of all its constants.
        known = _owned.get(id(code))
        if known is None:
            known = _owned[id(code)] = (code, _owner(code))
        if known[1] == "user":
            return Spot(code, frame.f_lineno, 2)
        if known[1] == "package" and second is None:
            second = Spot(code, frame.f_lineno, 1)
        frame = frame.f_back
    return second


def caller(frame: FrameType | None) -> Spot | None:
    """Return the innermost line of the user's code at or outside `frame`, up to an edge."""
    while frame is not None and frame.f_code not in _edges:
        if is_users(frame.f_code):
            return Spot(frame.f_code, frame.f_lineno, 0)
        frame = frame.f_back
    return None


def nearer(inner: Spot | None, outer: Spot | None) -> Spot | None:
    """Return the line that says more: the user's before a package's, the inner before the outer."""
    if inner is None or outer is None:
        return inner or outer
    return outer if outer.rank > inner.rank else inner


def _owner(code: CodeType) -> str:
    if is_users(code):
        return "user"
    name = os.path.realpath(code.co_filename)
    packaged = any(folder in name for folder in _PACKAGES) and not name.startswith(_TORCH)
    return "package" if packaged else ""


def place(code: CodeType, line: int) -> Place:
    """Return a line of some code with its text."""
    text = linecache.getline(code.co_filename, line).strip() if not _unquoted else ""
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
            # A constructor's own line is inside the class: the maker is whoever called it.
            if is_users(frame.f_code) and not _is_inside(frame, self):
                _note(self, place(frame.f_code, frame.f_lineno))
                return
            frame = frame.f_back

    __init__.__doc__ = original.__doc__
    nn.Module.__init__ = __init__  # type: ignore[method-assign]  # put back by `end`

    def end() -> None:
        nn.Module.__init__ = original  # type: ignore[method-assign]  # the original again

    return end


def _note(module: nn.Module, made: Place) -> None:
    key = id(module)
    _made[key] = (weakref.ref(module, lambda _: _made.pop(key, None)), made)


def _is_inside(frame: FrameType, module: nn.Module) -> bool:
    """Tell whether a frame is of a method of `module`."""
    code = frame.f_code
    names = code.co_varnames
    found = look(frame, lambda known: known.get(names[0]) is module) if names else False
    if found is None:
        constructors = (vars(kind).get("__init__") for kind in type(module).__mro__)
        found = any(getattr(each, "__code__", None) is code for each in constructors)
    return found
