"""Processes that a launcher started together record under one name, each in a file of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pipetrace.errors import RunFileError
from pipetrace.following import under_way
from pipetrace.naming import at_free_path, free_path, of_rank, together
from pipetrace.records import Provenance
from pipetrace.tracefile import SUFFIX, load

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # torch exports it

_PATIENCE = timedelta(seconds=60)
_KEY = "name"
T = TypeVar("T")


class Rank(NamedTuple):
    """Which of how many processes this is."""

    number: int
    world: int


def launched(environment: Mapping[str, str] = os.environ) -> Rank | None:
    """Return this process's rank as `torchrun` and its like tell it; None where it is alone.

    >>> launched({"RANK": "1", "WORLD_SIZE": "2"}), launched({"RANK": "0", "WORLD_SIZE": "1"})
    (Rank(number=1, world=2), None)
    """
    try:
        rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        return None
    return Rank(rank, world) if 0 <= rank < world and world > 1 else None


def at_agreed_path(folder: Path, name: str, rank: Rank, make: Callable[[Path], T]) -> T:
    """Call `make` with this rank's path under a name that no run has and all ranks share.

    The first rank finds the name and makes its file, which nobody else can then make; the others
    hear of it from the launcher's store. Where there is none they look into the folder.

    Raises:
        RunFileError: the name is no file's name, or the folder cannot be written to.
    """
    store = _store(name)
    stem = ""

    def own(path: Path) -> T:
        nonlocal stem
        stem = path.stem
        return make(of_rank(path, rank.number))

    if store is not None and rank.number == 0:
        made = at_free_path(folder, name, own)
        store.set(_KEY, stem)
        return made
    try:
        stem = _joined(folder, name, rank) if store is None else store.get(_KEY).decode()
    except RuntimeError:  # the first rank has not said a word
        stem = _joined(folder, name, rank)
    try:
        return make(of_rank(folder / f"{stem}{SUFFIX}", rank.number))
    except RunFileError as error:
        if not isinstance(error.__cause__, FileExistsError):
            raise
    # Folders of two machines need not hold the same runs.
    return at_free_path(folder, name, own)


def _store(name: str) -> Store | None:
    """Return where this launch keeps words for its ranks; None where the launcher has no such."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # as above

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]),
                         is_master=False, timeout=_PATIENCE)  # fmt: skip
    except (RuntimeError, KeyError, ValueError):
        return None
    return PrefixStore(f"pipetrace/{attempt}/{name}", store)


def _joined(folder: Path, name: str, rank: Rank) -> str:
    """Return the name of the newest launch that still lacks this rank, else a free one."""
    free = free_path(folder, name)
    number = int(free.stem[len(name) + 1 :] or 1) - 1
    if number:
        newest = folder / f"{name}-{number}{SUFFIX}" if number > 1 else folder / f"{name}{SUFFIX}"
        others = [path for path in together(of_rank(newest, rank.number)) if path.exists()]
        if others and of_rank(newest, rank.number) not in others and _lacks(others[0], rank):
            return newest.stem
    return free.stem


def _lacks(path: Path, rank: Rank) -> bool:
    """Tell whether a launch of as many processes writes there now."""
    try:
        recording = load(path)
    except RunFileError:  # it was made a moment ago
        return True
    origin = recording.first(Provenance)
    return origin is None or (origin.world == rank.world and under_way(recording) is not False)
