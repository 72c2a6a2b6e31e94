"""Observations: one for every epoch of a training, and those on the whole of it."""

from __future__ import annotations

from collections import deque

from pipetrace.blocks import Remark
from pipetrace.story.epochs import Row, Trace, finite
from pipetrace.story.observations import epochs, layers, trainings
from pipetrace.story.observations.rules import OBSERVATIONS, OVERALL, Sight

__all__ = [
    "OBSERVATIONS",
    "OVERALL",
    "Sight",
    "epochs",
    "layers",
    "observe",
    "overall",
    "trainings",
]


def observe(trace: Trace) -> tuple[Remark, ...]:
    """Choose one observation for every epoch of a training.

    A rule that spoke for the epoch before gives way to another, unless the numbers are bad.
    """
    remarks: list[Remark] = []
    before: Row | None = None
    best: float | None = None
    speeds: deque[float] = deque(maxlen=50)
    for row in trace.rows:
        if row.epoch is not None:
            last = remarks[-1].id if remarks else ""
            remarks.append(_choose(Sight(trace, row, before, best, speeds), last))
            before = row
            if row.speed:
                speeds.append(row.speed)
        score = row.scores.get(trace.held)
        value = finite(score.loss) if score else None
        best = value if best is None else min(best, value if value is not None else best)
    return tuple(remarks)


def _choose(sight: Sight, last: str) -> Remark:
    spare: Remark | None = None
    for entry in OBSERVATIONS:
        text = entry.rule(sight)
        if text and not (spare and entry.id == "OBS199"):
            remark = Remark(
                id=entry.id, where=f"epoch {sight.row.index}", text=text, tone=entry.tone
            )
            if entry.tone == "bad" or entry.id != last:
                return remark
            spare = spare or remark
    assert spare is not None  # the last rule always speaks
    return spare


def overall(trace: Trace) -> tuple[Remark, ...]:
    """Return what is to be said of a training as a whole."""
    found = ((entry, entry.rule(trace)) for entry in OVERALL)
    return tuple(
        Remark(id=entry.id, where=said.where, text=said.text, tone=entry.tone)
        for entry, said in found
        if said is not None
    )
