"""How a recording ends, in words: by its program, by a kill, or not yet."""

from __future__ import annotations

import time

from pipetrace.following import under_way
from pipetrace.records import Ended
from pipetrace.story.figures import plural, seconds
from pipetrace.tracefile import Recording

_ENDS = {
    "finished": "finished",
    "raised": "by an exception",
    "interrupted": "interrupted",
    "stopped": "stopped by --steps",
}


def ending(recording: Recording) -> str:
    """Say in one line how a run ended, or how far it has come."""
    ended = recording.last(Ended)
    if ended is not None:
        code = f", exit code {ended.code}" if ended.code else ""
        return f"{_ENDS.get(ended.status, ended.status)}{code}, after {seconds(ended.seconds)}"
    running = under_way(recording)
    count = plural(steps(recording), "optimizer step")
    if running is False:
        return f"cut off after {count}"
    at = recording.written
    written = "" if at is None else f", last written {seconds(max(0.0, time.time() - at))} ago"
    state = "still running" if running else "still running or cut off"
    return f"{state}, {count} so far{written}"


def steps(recording: Recording) -> int:
    """Return the optimizer steps whose losses reached the file."""
    return sum(len(own) for name, own in recording.series.items() if name.startswith("loss/"))
