"""What was typed becomes a script to run, or a clear refusal, before torch is imported."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple

from pipetrace.errors import ScriptError

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


def from_file(path: str, arguments: Sequence[str]) -> Script:
    """Compile a script.

    Args:
        path: The file as it was typed: `sys.argv[0]` and tracebacks repeat it.
        arguments: What was typed after it.

    Raises:
        ScriptError: there is no such file, or it is not Python.
    """
    if os.path.isdir(path):
        raise ScriptError(f"{path} is a folder. Name a Python file: pipetrace run train.py")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be read"
        raise ScriptError(
            f"{path}: {reason}. Name a Python file: pipetrace run train.py. "
            "Options of pipetrace stand before it, options of the script after it."
        ) from None
    # Plain Python neither follows links nor removes dots here.
    absolute = os.path.join(os.getcwd(), path)
    folder = os.path.dirname(os.path.realpath(path))
    return Script(absolute, (path, *arguments), folder, _compile(source, absolute, path))


def from_module(name: str, arguments: Sequence[str]) -> Script:
    """Find a module, or a package's `__main__`, without running any of its code.

    Args:
        name: What was typed after `-m`.
        arguments: What was typed after it.

    Raises:
        ScriptError: there is no such module, or it is not Python source.
    """
    origin = _find(name)
    if origin is None or not origin.endswith(_SUFFIXES):
        typed = name.removesuffix(".py").replace("/", ".").replace(os.sep, ".")
        hint = f"-m {typed}" if typed != name else "-m package.train"
        raise ScriptError(
            f"No module named {name} that could be run was found from {os.getcwd()}. "
            f"Name a module as after `python -m`: pipetrace run {hint}"
        )
    return Script(origin, (name, *arguments), os.getcwd(), None)


def _compile(source: bytes, path: str, name: str) -> CodeType | SyntaxError:
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and name.endswith(_SUFFIXES):
            return error
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ScriptError(
            f"{name}{line}: this is not Python ({reason}). Name a Python file: "
            "pipetrace run train.py; for a table: pipetrace fit TABLE --target COLUMN"
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
