"""How runs are named: a name that is taken gets a number, and ranks of one launch share it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pipetrace.errors import RunFileError
from pipetrace.tracefile import SUFFIX, unwritable

T = TypeVar("T")
_RANK = re.compile(r"(.+)\.rank(\d+)\.pipetrace", re.DOTALL)
_TAKEN = re.compile(r"(.+?)(\.rank\d+)?\.(?:pipetrace|html)", re.DOTALL)


def newest(folder: Path) -> Path:
    """Return the run file in `folder` that was made last.

    Raises:
        RunFileError: there is none.
    """
    runs: list[tuple[int, Path]] = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.is_file():
                runs.append((path.stat().st_mtime_ns, path))
    if not runs:
        raise RunFileError(
            f"{folder}: there is no run yet. `pipetrace run` makes one, "
            "or name a run file: `pipetrace show FILE`."
        )
    return max(runs)[1]


def at_free_path(folder: Path, name: str, make: Callable[[Path], T]) -> T:
    """Call `make` with a path in `folder` that no run has: NAME, NAME-2, NAME-3, ...

    Args:
        folder: Where runs are kept.
        name: The name that is wanted.
        make: Makes the run; it is called again where another process took the path first.

    Raises:
        RunFileError: the name is no file's name, or the folder cannot be written to.
    """
    while True:
        try:
            return make(free_path(folder, name))
        except RunFileError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise


def free_path(folder: Path, name: str) -> Path:
    """Return a path in `folder` that no run has: NAME, NAME-2, NAME-3, ...

    Raises:
        RunFileError: the name is no file's name, or the folder cannot be read.
    """
    if not name.isprintable() or name.strip(" .") == "" or {"/", "\\"} & set(name):
        raise RunFileError(
            f"{name!r} cannot be the name of a run: it becomes the name of a file. Write letters, "
            "digits and hyphens, for example --name first-try; --out names the folder."
        )
    numbers: Iterator[int] = iter(range(2, 1_000_000))
    path = folder / f"{name}{SUFFIX}"
    try:
        files = folder.iterdir() if folder.is_dir() else ()
        taken = {stem for file in files for stem in _stems(file.name)}
        while path.stem in taken:
            path = folder / f"{name}-{next(numbers)}{SUFFIX}"
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def of_rank(path: Path, rank: int) -> Path:
    """Return where a rank of a launch records: NAME.rank0.pipetrace, NAME.rank1.pipetrace, ...

    >>> of_rank(Path("runs/train-2.pipetrace"), 1).name
    'train-2.rank1.pipetrace'
    """
    return path.with_name(f"{path.stem}.rank{rank}{SUFFIX}")


def together(path: Path) -> list[Path]:
    """Return the files of all ranks that recorded beside one; itself if it is no rank's."""
    found = _RANK.fullmatch(path.name)
    if found is None or not path.parent.is_dir():
        return [path]
    ranks = {
        int(other[2]): file
        for file in path.parent.iterdir()
        if (other := _RANK.fullmatch(file.name)) and other[1] == found[1]
    }
    return [ranks[rank] for rank in sorted(ranks)] or [path]


def ranks_of(path: Path) -> Path:
    """Return the pattern that names a rank's file and those of all others; else the path itself.

    >>> ranks_of(Path("runs/train.rank0.pipetrace")).name
    'train.rank*.pipetrace'
    """
    found = _RANK.fullmatch(path.name)
    return path.with_name(f"{found[1]}.rank*{SUFFIX}") if found else path


def matching(paths: Sequence[Path]) -> list[Path]:
    """Fill in patterns, as a shell would that was given none in quotes: `NAME.rank*.pipetrace`.

    Raises:
        RunFileError: nothing has such a name.
    """
    found: list[Path] = []
    for path in paths:
        pattern = not path.exists() and {"*", "?", "["} & set(path.name)
        found += sorted(path.parent.glob(path.name)) if pattern else [path]
        if not found:
            raise RunFileError(f"{path}: there is no such run file.")
    return list(dict.fromkeys(found))


def asked(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the files that were named, patterns filled in; else the newest run, of all ranks.

    Args:
        paths: What was named.
        folder: Where the newest run is looked for.

    Raises:
        RunFileError: a pattern has no match, or there is no run yet.
    """
    return matching(paths) if paths else together(newest(folder))


def _stems(name: str) -> Iterator[str]:
    """Yield the names of runs that a file takes: its own, and that of its launch."""
    if found := _TAKEN.fullmatch(name):
        yield found[1]
        yield found[1] + (found[2] or "")


def file_name(label: str) -> str:
    """Make of a script's or a table's name one that a run's file can have.

    >>> file_name("first try."), file_name("..")
    ('first try', 'run')
    """
    clean = "".join(letter if letter.isprintable() else "_" for letter in label)
    return clean.encode()[:200].decode(errors="ignore").strip(" .") or "run"
