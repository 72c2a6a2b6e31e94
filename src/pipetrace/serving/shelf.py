"""Which runs there are: found by listing one folder, known by an id and never by a path."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from pipetrace.errors import RunFileError
from pipetrace.naming import ranks_of, together
from pipetrace.tracefile import SUFFIX


class Shelf:
    """The runs of a folder, the files of one launch's ranks as one.

    A file that leads out of the folder, through a link, is not there.

    Args:
        place: The folder, or one run file in it.

    Raises:
        RunFileError: there is no such folder or file.
    """

    def __init__(self, place: Path) -> None:
        if not place.exists():
            raise RunFileError(
                f"{place}: there is no such run file or folder. `pipetrace run` makes a run in the "
                "folder pipetrace-runs, or name a run file: `pipetrace serve FILE`."
            )
        self.folder = place if place.is_dir() else place.parent
        self._only = None if place.is_dir() else {path.name for path in together(place)}
        self._root = self.folder.resolve()
        self.one = "" if place.is_dir() else _id(ranks_of(place).name)
        """The id of the run that was named; empty for a folder."""

    def runs(self) -> dict[str, list[Path]]:
        """Return the files of every run by its id."""
        found: dict[str, list[Path]] = {}
        with contextlib.suppress(OSError):
            for path in sorted(self.folder.iterdir()):
                if self._is_here(path):
                    found.setdefault(_id(ranks_of(path).name), []).append(path)
        return {name: sorted(files, key=_rank) for name, files in found.items()}

    def files(self, id: str) -> list[Path]:
        """Return the files of a run; none where there is no such run."""
        return self.runs().get(id, [])

    def _is_here(self, path: Path) -> bool:
        if path.suffix != SUFFIX or not (self._only is None or path.name in self._only):
            return False
        try:
            return path.is_file() and path.resolve().is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False


def _id(name: str) -> str:
    # A name may hold what no address may.
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


def _rank(path: Path) -> tuple[int, str]:
    return len(path.name), path.name
