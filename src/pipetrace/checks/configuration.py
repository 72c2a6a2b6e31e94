"""What a project says of its checks stands in `[tool.pipetrace]` of its `pyproject.toml`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from msgspec.structs import replace

from pipetrace.checks.registry import Rule
from pipetrace.checks.selecting import asked, read, wanted
from pipetrace.errors import PipetraceError
from pipetrace.records import Selection

KEYS = ("select", "ignore", "per-file-ignores")
_FILE = "pyproject.toml"


def selection(
    rules: Sequence[Rule], select: Iterable[str] = (), ignore: Iterable[str] = (),
    start: Path | None = None,
) -> Selection:  # fmt: skip
    """Return which rules to ask: as was typed, else as the project says, else all of them.

    Args:
        rules: Every rule there is.
        select: What was typed; it stands in place of the project's `select` and `ignore`.
        ignore: What was typed to be left out; it stands in place of the project's.
        start: The folder from which upwards the project's file is looked for; None looks for none.

    Raises:
        PipetraceError: an id is unknown, no rule is left, or the file is not written as it must be.
    """
    for name, words in (("select", select), ("ignore", ignore)):
        if isinstance(words, str):
            read((words,), rules, name)
            raise PipetraceError(f'{name}={words!r} is one word. Write {name}=["{words}"]')
    found = Selection() if start is None else configured(rules, start)
    select, ignore = read(select, rules, "select"), read(ignore, rules, "ignore")
    if select or ignore:
        found = replace(found, select=select or found.select,
                        ignore=ignore or (() if select else found.ignore))  # fmt: skip
    if not asked(found, rules):
        raise PipetraceError(
            f"No rule is left to ask: select {', '.join(found.select)}; "
            f"ignore {', '.join(found.ignore)}."
        )
    return found


def configured(rules: Sequence[Rule], start: Path) -> Selection:
    """Return what the nearest `pyproject.toml` with a table `[tool.pipetrace]` says.

    Raises:
        PipetraceError: it is not TOML, a key is unknown, or a value is not what it must be.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        table = _table(folder / _FILE)
        if table is not None:
            return _read(rules, table, folder / _FILE)
    return Selection()


def left_out(selection: Selection, file: str, id: str) -> bool:
    """Tell whether a selection leaves an id out of a file's lines.

    >>> selection = Selection(files=(("old/*.py", ("PTR1",)),), folder="/home/ada")
    >>> left_out(selection, "/home/ada/old/train.py", "PTR101")
    True
    """
    if not selection.files or not file:
        return False
    path = PurePath(file)
    inside = path.is_relative_to(selection.folder)
    names = (path.relative_to(selection.folder).as_posix() if inside else str(path), path.name)
    return any(
        not wanted(id, ("PTR",), ids)
        for pattern, ids in selection.files
        if any(fnmatchcase(name, pattern) for name in names)
    )


def _table(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file).get("tool", {}).get("pipetrace")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise PipetraceError(f"{path}: this cannot be read as TOML ({error}).") from None
    if table is not None and not isinstance(table, dict):
        raise PipetraceError(f"{path}: write a table, [tool.pipetrace].")
    return table


def _read(rules: Sequence[Rule], table: dict[str, Any], path: Path) -> Selection:
    for key in table:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(KEYS)}."
            raise PipetraceError(f"{path}: [tool.pipetrace] has no key {key!r}. {hint}")

    def ids(value: Any, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise PipetraceError(f'{path}: {key} is no list of ids. Write {key} = ["PTR101"]')
        return read(value, rules, f"{path}: {key}")

    files = table.get("per-file-ignores", {})
    if not isinstance(files, dict):
        raise PipetraceError(f"{path}: per-file-ignores is no table. Write per-file-ignores = "
                             '{ "old/*.py" = ["PTR101"] }')  # fmt: skip
    return Selection(
        select=ids(table.get("select", []), "select") or ("PTR",),
        ignore=ids(table.get("ignore", []), "ignore"),
        files=tuple((name, ids(value, f'"{name}"')) for name, value in files.items()),
        folder=str(path.parent),
    )
