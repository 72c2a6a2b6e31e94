"""A script runs as `__main__`, as plain Python would run it, and ends as it would have ended."""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import runpy
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from pipetrace.errors import ScriptError
from pipetrace.training.endings import comes_from, exit_code, report, threads_reported
from pipetrace.training.imports import as_alone
from pipetrace.training.recorder import Stopped

_SUFFIXES = (".py", ".pyw")


class Script(NamedTuple):
    """What will be run."""

    path: str
    """Its file, absolute, and otherwise as it was named."""
    arguments: tuple[str, ...]
    """`sys.argv`, with the module's name first for a module."""
    folder: str
    """`sys.path[0]`."""
    code: CodeType | SyntaxError | None
    """Compiled; the error that running it raises; None for a module, which Python finds."""


class Ending(NamedTuple):
    """How a script ended."""

    status: str
    """`finished`, `raised`, `interrupted` or `stopped`."""
    code: int
    error: BaseException | None


def from_file(path: str, arguments: Sequence[str], verb: str = "run") -> Script:
    """Compile a script.

    Args:
        path: The file as it was typed: `sys.argv[0]` and tracebacks repeat it.
        arguments: What was typed after it.
        verb: The command that was typed; messages repeat it.

    Raises:
        ScriptError: there is no such file, or it is not Python.
    """
    if os.path.isdir(path):
        raise ScriptError(f"{path} is a folder. Name a Python file: pipetrace {verb} train.py")
    if path.endswith(".ipynb"):
        raise ScriptError(
            f"{path} is a notebook. Write it as a script first: jupyter nbconvert --to script "
            f"{path}; or use pipetrace in its cells: pt.record, pt.check, %%pipetrace"
        )
    try:
        with open(path, "rb") as file:
            source = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be read"
        raise ScriptError(
            f"{path}: {reason}. Name a Python file: pipetrace {verb} train.py. "
            "Options of pipetrace stand before it, options of the script after it."
        ) from None
    # Plain Python neither follows links nor removes dots here.
    absolute = os.path.join(os.getcwd(), path)
    folder = os.path.dirname(os.path.realpath(path))
    return Script(absolute, (path, *arguments), folder, _compile(source, absolute, path, verb))


def from_module(name: str, arguments: Sequence[str], verb: str = "run") -> Script:
    """Find a module, or a package's `__main__`, without running any of its code.

    Args:
        name: What was typed after `-m`.
        arguments: What was typed after it.
        verb: The command that was typed; messages repeat it.

    Raises:
        ScriptError: there is no such module, or it is not Python source.
    """
    origin = _find(name)
    if origin is None or not origin.endswith(_SUFFIXES):
        if origin is None and _find(f"{name}.__init__") is not None:
            raise ScriptError(
                f"{name} is a package without a module __main__, and cannot be run. Name one of "
                f"its modules: pipetrace {verb} -m {name}.train"
            )
        typed = name.removesuffix(".py").replace("/", ".").replace(os.sep, ".")
        hint = f"-m {typed}" if typed != name else "-m package.train"
        raise ScriptError(
            f"No module named {name} that could be run was found from {os.getcwd()}. "
            f"Name a module as after `python -m`: pipetrace {verb} {hint}"
        )
    return Script(origin, (name, *arguments), os.getcwd(), None)


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


def _compile(source: bytes, path: str, name: str, verb: str) -> CodeType | SyntaxError:
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and name.endswith(_SUFFIXES):
            return error
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        table = "; for a table: pipetrace fit TABLE --target COLUMN" if verb == "run" else ""
        raise ScriptError(
            f"{name}{line}: this is not Python ({reason}). Name a Python file: "
            f"pipetrace {verb} train.py{table}"
        ) from None


def _find(name: str) -> str | None:
    """Return the file that `python -m` would run, looked up without importing a package."""
    if not all(parts := name.split(".")):
        return None
    before = sys.path
    sys.path = before if sys.flags.safe_path else [os.getcwd(), *before]
    try:
        spec, folders, full = None, None, ""
        for part in (*parts, "__main__"):
            if spec is not None and (folders := _folders(spec, folders)) is None:
                return spec.origin if full == name else None
            full = f"{full}.{part}" if full else part
            spec = _spec(full, folders)
            if spec is None:
                return None
        return None if spec is None else spec.origin
    finally:
        sys.path = before


def _spec(name: str, folders: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def _folders(
    spec: importlib.machinery.ModuleSpec, around: list[str] | None
) -> list[str] | None:  # fmt: skip
    """Return where the modules of a package lie; None for what is no package."""
    if spec.submodule_search_locations is None:
        return None
    try:
        return list(spec.submodule_search_locations)
    except KeyError:
        # A namespace inside a package asks for that package, which must not be imported yet.
        inside = (os.path.join(path, spec.name.rpartition(".")[2]) for path in around or ())
        return [path for path in inside if os.path.isdir(path)]
