"""The loops around a running line, with the values of their variables, read from the source."""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

from pipetrace.capture.places import is_users

Loops = tuple[tuple[tuple[str, int], str | None], ...]
Tokens = list[tuple[tuple[str, int], int | str | None]]
Nest = tuple[tuple[tuple[str, int], int | str | None], ...]
"""Loops from the outermost inwards: (file and line of the loop, token of its variable's value)."""

_DEPTH = 60
_LOOKS = frozenset({"locals", "vars", "eval", "exec"})


class Loop(NamedTuple):
    """A loop in the source: its lines, and the first variable it sets (none for `while`)."""

    first: int
    last: int
    variable: str | None


_files: dict[str, tuple[list[str], dict[int, list[Loop]]]] = {}
_sites: dict[tuple[CodeType, int], Loops] = {}


def reread() -> None:
    """Read sources anew: a notebook's cell, or a file, may have been edited since."""
    _files.clear()
    _sites.clear()


def nest(frame: FrameType | None) -> Nest:
    """Return the loops around a frame's line and around the lines that called it."""
    found: Tokens = []
    depth = 0
    while frame is not None and depth < _DEPTH:
        code = frame.f_code
        if is_users(code):
            loops = _loops_at(frame)
            if loops:
                found.extend(reversed(_read(frame, loops)))
        frame, depth = frame.f_back, depth + 1
    return tuple(reversed(found))


def site(frame: FrameType | None) -> tuple[int, ...]:
    """Return the lines of the user's code that a frame was called from, the innermost first."""
    found: list[int] = []
    while frame is not None and len(found) < 2 * _DEPTH:
        if is_users(frame.f_code):
            found += (id(frame.f_code), frame.f_lasti)
        frame = frame.f_back
    return tuple(found)


class Standing:
    """The outer loops around a line, and whether they have moved on when it runs again.

    `nest` visits every frame of the stack. Here those with one of these loops are visited only, as
    many frames outwards as they were, and they must be at the same instruction.

    Args:
        frame: The frame of the line.
        depth: How many loops, counted from the outermost, must stand.
    """

    def __init__(self, frame: FrameType | None, depth: int) -> None:
        found: list[tuple[int, FrameType]] = []
        hops = 0
        while frame is not None and hops < _DEPTH:
            if is_users(frame.f_code) and _loops_at(frame):
                found.append((hops, frame))
            frame, hops = frame.f_back, hops + 1
        self._seats: list[tuple[int, CodeType, int, Loops, Tokens]] = []
        for hops, each in reversed(found):
            loops = _loops_at(each)[:depth]
            depth -= len(loops)
            if loops:
                seat = (hops, each.f_code, each.f_lasti, loops, _read(each, loops))
                self._seats.insert(0, seat)

    def holds(self, frame: FrameType | None) -> bool:
        """Tell whether the same line runs with these loops where they stood."""
        passed = 0
        for hops, code, instruction, loops, tokens in self._seats:
            while passed < hops and frame is not None:
                frame, passed = frame.f_back, passed + 1
            if frame is None or frame.f_code is not code or frame.f_lasti != instruction:
                return False
            if _read(frame, loops) != tokens:
                return False
        return True


def _loops_at(frame: FrameType) -> Loops:
    key = (frame.f_code, frame.f_lasti)
    loops = _sites.get(key)
    if loops is None:
        loops = _around(frame.f_code, frame.f_lineno)
        if _shares_locals(frame.f_code):
            loops = tuple((where, None) for where, _ in loops)
        _sites[key] = loops
    return loops


def _shares_locals(code: CodeType) -> bool:
    """Tell a function that may hold the one snapshot of its variables, or keep more in it.

    Before Python 3.13 whoever reads variables from outside writes into that snapshot.
    """
    if sys.version_info >= (3, 13) or not code.co_flags & inspect.CO_OPTIMIZED:
        return False
    if _LOOKS.isdisjoint(code.co_names):
        return False
    # A name alone may be an attribute, as in `model.eval()`.
    called = (i for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
    return any(instruction.argval in _LOOKS for instruction in called)


def _read(frame: FrameType, loops: Loops) -> Tokens:
    if not any(name for _, name in loops):
        return [(key, None) for key, _ in loops]
    known = frame.f_locals
    tokens = [(key, None if name is None else _token(known.get(name))) for key, name in loops]
    # Before Python 3.13 the snapshot would keep the user's objects alive until the frame ends.
    if frame.f_code.co_flags & inspect.CO_OPTIMIZED and isinstance(known, dict):
        known.clear()
    return tokens


def _token(value: Any) -> int | str:
    if isinstance(value, (int, str)):
        return value
    address = getattr(value, "data_ptr", None)
    try:
        return id(value) if address is None else f"at {address()}"
    except RuntimeError:
        # Sparse tensors have none.
        return id(value)


def _around(code: CodeType, line: int) -> Loops:
    file = code.co_filename
    if file not in _files:
        linecache.checkcache(file)
    lines = linecache.getlines(file)
    if file not in _files or _files[file][0] is not lines:
        _files[file] = lines, _loops("".join(lines))
    loops = _files[file][1].get(0 if code.co_name == "<module>" else code.co_firstlineno, [])
    return tuple(
        ((file, loop.first), loop.variable) for loop in loops if loop.first < line <= loop.last
    )


def _loops(source: str) -> dict[int, list[Loop]]:
    """Return the loops of every function by its first line; 0 stands for the module."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[int, list[Loop]] = {}

    def visit(node: ast.AST, owner: int) -> None:
        for child in ast.iter_child_nodes(node):
            inner = owner
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            elif isinstance(child, ast.Lambda):
                continue
            elif isinstance(child, (ast.For, ast.AsyncFor, ast.While)):
                last = child.body[-1].end_lineno or child.lineno
                variable = None if isinstance(child, ast.While) else _variable(child.target)
                # The first line of the body may be the loop's own line.
                first = min(child.lineno, child.body[0].lineno - 1)
                found.setdefault(owner, []).append(Loop(first, last, variable))
            visit(child, inner)

    visit(tree, 0)
    return found


def _variable(target: ast.AST) -> str | None:
    names = [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
    return names[0] if names else None
