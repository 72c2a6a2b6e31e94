"""A script runs as `__main__`, as plain Python would run it, and ends as it would have ended."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from pipetrace.capture.places import is_ours
from pipetrace.errors import ScriptError
from pipetrace.training.recorder import Stopped
from pipetrace.training.signals import is_wrapper

_STARTUP = ("built-in", "frozen")
_NATIVE = ("torch", "numpy")


class Script(NamedTuple):
    """What will be run: compiled, with all that `__main__` needs."""

    code: CodeType
    path: str
    arguments: tuple[str, ...]
    first: str
    """`sys.path[0]`."""
    spec: importlib.machinery.ModuleSpec | None


class Ending(NamedTuple):
    """How a script ended."""

    status: str
    """`finished`, `raised`, `interrupted` or `stopped`."""
    code: int
    error: BaseException | None


def from_file(path: Path, arguments: tuple[str, ...]) -> Script:
    """Compile a script.

    Raises:
        ScriptError: there is no such file, or it is not Python.
    """
    if path.is_dir():
        raise ScriptError(f"{path} is a folder. Name a Python file: pipetrace run train.py")
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ScriptError(
            f"{path}: {reason}. Name a Python file: pipetrace run train.py. "
            "Options of pipetrace stand before it, options of the script after it."
        ) from None
    absolute = os.path.abspath(path)
    code = _compile(source, absolute, str(path))
    first = os.path.dirname(os.path.realpath(path))
    return Script(code, absolute, (str(path), *arguments), first, None)


def from_module(name: str, arguments: tuple[str, ...]) -> Script:
    """Find and compile a module or a package's `__main__`, as `python -m` does.

    Raises:
        ScriptError: there is no such module, or it is not Python source.
    """
    with _first_on_path(os.getcwd()):
        try:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.submodule_search_locations is not None:
                spec = importlib.util.find_spec(f"{name}.__main__")
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            raise ScriptError(
                f"No module named {name} that could be run was found from {os.getcwd()}. "
                "Name a module as after `python -m`: pipetrace run -m package.train"
            )
    origin = os.path.abspath(spec.origin)
    code = _compile(Path(origin).read_bytes(), origin, name)
    return Script(code, origin, (origin, *arguments), os.getcwd(), spec)


def run(script: Script, watched: Callable[[], Any], ended: Callable[[], Any]) -> Ending:
    """Execute a script between `watched()` and `ended()`, and tell how it ended.

    A traceback is printed by the script's own `sys.excepthook`, without our frames.
    """
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __file__=script.path, __builtins__=builtins, __spec__=script.spec, __cached__=None,
        __package__=None if script.spec is None else script.spec.parent,
        __loader__=importlib.machinery.SourceFileLoader("__main__", script.path),
    )  # fmt: skip
    before = sys.argv, sys.modules["__main__"]
    sys.argv = list(script.arguments)
    sys.modules["__main__"] = main
    status, code = "finished", 0
    raised: BaseException | None = None
    try:
        with _first_on_path(script.first), _unshadowed(script.first):
            watched()
            try:
                exec(script.code, main.__dict__)
            finally:
                ended()
    except Stopped:
        status = "stopped"
    except SystemExit as error:
        code = _exit_code(error)
    except KeyboardInterrupt as error:
        status, code, raised = "interrupted", 130, error
    except BaseException as error:
        status, code, raised = "raised", 1, error
    finally:
        sys.argv = before[0]
    if raised is not None:
        clean(raised)
        sys.excepthook(type(raised), raised, raised.__traceback__)
    return Ending(status, code, raised)


def clean(error: BaseException, seen: set[int] | None = None) -> None:
    """Take our frames out of an exception's traceback, and out of those it came from."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    error.__traceback__ = _clean(error.__traceback__)
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            clean(cause, seen)


def _clean(traceback: TracebackType | None) -> TracebackType | None:
    kept = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_ours(code) and not is_wrapper(code):
            kept.append(traceback)
        traceback = traceback.tb_next
    for one, following in zip(kept, [*kept[1:], None], strict=True):
        one.tb_next = following
    return kept[0] if kept else None


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1


def _compile(source: bytes, path: str, name: str) -> CodeType:
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise ScriptError(
            f"{name}{line}: this is not Python ({error.msg}). Name a Python file: "
            "pipetrace run train.py; for a table: pipetrace fit TABLE --target COLUMN"
        ) from None
    except ValueError as error:
        raise ScriptError(f"{name}: this is not Python ({error}).") from None


@contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """Let `sys.path[0]` be the script's folder, in the place of our own entry."""
    ours = sys.path[0]
    sys.path[0] = folder
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path[sys.path.index(folder)] = ours


@contextmanager
def _unshadowed(folder: str) -> Iterator[None]:
    """Hide loaded modules that the script's folder has its own version of.

    Plain Python would import the script's `html.py`; we have imported the library's before. What we
    loaded stays ours: it is put back when the script has ended.
    """
    try:
        names = {
            entry.stem
            for entry in Path(folder).iterdir()
            if entry.suffix == ".py" or (entry / "__init__.py").exists()
        }
    except OSError:
        names = set()
    tops = {name for name in names if name in sys.modules and _loaded_by_us(name)}
    hidden = {name: module for name, module in sys.modules.items() if name.split(".")[0] in tops}
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(hidden)


def _loaded_by_us(name: str) -> bool:
    """Tell whether plain Python would not have loaded a module before the script."""
    if name in ("__main__", "encodings", "pipetrace", *_NATIVE):
        return False
    spec = getattr(sys.modules[name], "__spec__", None)
    return spec is not None and spec.origin not in _STARTUP
