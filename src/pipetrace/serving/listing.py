"""The list of runs: what each is called, when it began, how far it is, its last loss."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

from pipetrace.following import under_way
from pipetrace.records import Ended, Epoch, Provenance
from pipetrace.serving.followed import Followed
from pipetrace.serving.shelf import Shelf
from pipetrace.story import figures
from pipetrace.tracefile import Recording
from pipetrace.views import data

_OFTEN = 0.5
_KINDS = ("provenance", "epoch", "ended")
_ENDS = {
    "finished": "finished",
    "raised": "ended by an exception",
    "interrupted": "interrupted",
    "stopped": "stopped by --steps",
}
_GOING = {True: "running", False: "cut off", None: "running or cut off"}


class Listing:
    """The runs of a shelf as JSON, version by version.

    Args:
        shelf: The runs.
    """

    pace = _OFTEN

    def __init__(self, shelf: Shelf) -> None:
        self.version = 0
        self.title = f"Runs in {shelf.folder.resolve().name}"
        self._shelf = shelf
        self._runs: dict[Path, Followed] = {}
        self._rows: list[dict[str, Any]] | None = None
        self._asked = float("-inf")

    def stirred(self) -> bool:
        """Tell whether it is time to look again."""
        return time.monotonic() - self._asked >= _OFTEN

    def make(self) -> bool:
        """Look at every run whose file was written to, and tell whether the list has changed."""
        self._asked = time.monotonic()
        found = {files[0]: (name, len(files)) for name, files in self._shelf.runs().items()}
        self._runs = {path: self._runs.get(path) or _only(path) for path in found}
        rows = []
        for path, (name, ranks) in found.items():
            run = self._runs[path]
            if run.stirred():
                run.read()
            rows.append(_row(name, path, ranks, run.recording, run.trouble))
        rows.sort(key=lambda row: row.pop("at"), reverse=True)
        changed = rows != self._rows
        self._rows = rows
        self.version += changed
        return changed

    def message(self, since: int) -> str:
        """Return the list as one line of JSON; it is short, so that it is always sent whole."""
        return data.encoded({"version": self.version, "title": self.title, "runs": self._rows})


def _only(path: Path) -> Followed:
    return Followed(lambda: [path], kinds=_KINDS)


def _row(
    id: str, path: Path, ranks: int, recording: Recording | None, trouble: str
) -> dict[str, Any]:
    name = path.name.removesuffix(path.suffix)
    if ranks > 1:
        name = f"{name.rpartition('.rank')[0]}, {figures.plural(ranks, 'rank')}"
    row = {"id": id, "name": name, "started": "", "state": "", "epochs": "", "loss": "", "at": 0.0}
    if recording is not None:
        origin, ended = recording.first(Provenance), recording.last(Ended)
        epochs = recording.all(Epoch)
        if origin is not None and origin.started:
            row["started"] = origin.started[:19].replace("T", " ")
            row["at"] = _seconds(origin.started)
        row["epochs"] = figures.whole(sum(epoch.complete for epoch in epochs)) if epochs else "–"
        row["loss"] = figures.loss(epochs[-1].score.loss) if epochs else "–"
        if ended is None:
            row["state"] = _GOING[under_way(recording)]
        else:
            code = f", exit code {ended.code}" if ended.code else ""
            row["state"] = f"{_ENDS.get(ended.status, ended.status)}{code}"
    if trouble:
        row["state"] = trouble
    return row


def _seconds(started: str) -> float:
    try:
        return datetime.datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
