"""A run is followed while it is written, and files of several ranks are read as one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pipetrace import alive
from pipetrace.errors import RunFileError
from pipetrace.naming import together
from pipetrace.records import Ended, Provenance
from pipetrace.tracefile import News, Recording, load, since

_PAUSE = 0.05


class Follower:
    """Reads what a run file has gained since the last look: every fact once, in order.

    A look at a file that nobody has written to asks for its size and time, and opens nothing.
    Between looks nothing is held open, so that a writer can close.

    Args:
        path: The run file.
        position: Where to go on, as an earlier follower left it; from the beginning by default.
        kinds: Read facts of these kinds only, and no series; everything where there are none.

    >>> import tempfile
    >>> from pipetrace.records import Seed
    >>> from pipetrace.tracefile import Writer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Writer(Path(folder) / "a.pipetrace")
    ...     writer.append(Seed(value=1))
    ...     writer.flush()
    ...     follower = Follower(writer.path)
    ...     found = follower.look().facts, follower.look().facts
    ...     writer.close()
    >>> found
    ([Seed(value=1, threads=0)], [])
    """

    def __init__(
        self, path: Path, position: tuple[int, int] = (0, 0), kinds: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.position = position
        self._kinds = kinds
        self._log = Path(f"{path}-wal")
        self._seen: tuple[object, ...] = ()

    def look(self) -> News:
        """Return what is new.

        Raises:
            RunFileError: there is no such file, or it is damaged, of something else, or newer.
        """
        now = tuple(map(_mark, (self.path, self._log)))
        if now == self._seen:
            return News([], {}, self.position)
        news = since(self.path, self.position, self._kinds)
        self._seen, self.position = now, news.position
        return news


def under_way(recording: Recording) -> bool | None:
    """Tell whether a run is still being written; None where nobody on this machine can know."""
    origin = recording.first(Provenance)
    if recording.first(Ended) is not None:
        return False
    return None if origin is None else alive.lives(origin.process)


def load_together(paths: Sequence[Path]) -> Recording:
    """Read one run, or the files of one launch's ranks: the first rank's run, with all `ranks`.

    Raises:
        RunFileError: a file cannot be read, or several are not ranks of one launch.
    """
    return joined([load(path) for path in paths])


def joined(found: Sequence[Recording]) -> Recording:
    """Make one run of what was read of each rank; of one alone, itself.

    Raises:
        RunFileError: several are not ranks of one launch.
    """
    if len(found) == 1:
        return found[0]
    origins = [recording.first(Provenance) or Provenance(name="", origin="") for recording in found]
    worlds = {(origin.name, origin.world) for origin in origins}
    ranks = [origin.rank for origin in origins]
    names = [recording.path.name for recording in found if recording.path is not None]
    if len(worlds) > 1 or origins[0].world == 1 or len(set(ranks)) < len(ranks):
        raise RunFileError(
            f"{', '.join(names)}: these are not the ranks of one launch, and "
            "a page is of one run. Name one file, or the files of its ranks: NAME.rank*.pipetrace"
        )
    ordered = tuple(recording for _, recording in sorted(zip(ranks, found, strict=True),
                                                         key=lambda pair: pair[0]))  # fmt: skip
    first = ordered[0]
    return Recording(first.facts, first.series, first.path, first.written, ordered)


def all_ranks(path: Path, world: int, patience: float) -> Recording:
    """Read a rank's run with those of the other ranks, once they have ended or patience has.

    Args:
        path: The run of one rank.
        world: How many ranks there are.
        patience: Seconds to wait for ranks that are still running.

    Raises:
        RunFileError: a file cannot be read.
    """
    until = time.monotonic() + patience
    while True:
        recording = load_together(together(path))
        ended = sum(under_way(rank) is False for rank in recording.ranks)
        if ended == world or time.monotonic() > until:
            return recording
        time.sleep(_PAUSE)


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
