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

    A rule that spoke for one of the two epochs before gives way to another, a warning for the one
    before alone; where the numbers are bad none does.
    """
    remarks: list[Remark] = []
    before: Row | None = None
    best: float | None = None
    speeds: deque[float] = deque(maxlen=50)
    for row in trace.rows:
        if row.epoch is not None:
            last = [remark.id for remark in remarks[-2:]]
            remarks.append(_choose(Sight(trace, row, before, best, speeds), last))
            before = row
            if row.speed:
                speeds.append(row.speed)
        score = row.scores.get(trace.held)
        value = finite(score.loss) if score else None
        best = value if best is None else min(best, value if value is not None else best)
    return tuple(remarks)


def _choose(sight: Sight, last: list[str]) -> Remark:
    spare: list[Remark] = []
    for entry in OBSERVATIONS:
        text = entry.rule(sight)
        if text and not (spare and entry.id == "OBS199"):
            remark = Remark(
                id=entry.id, where=f"epoch {sight.row.index}", text=text, tone=entry.tone
            )
            recent = last[-1:] if entry.tone == "warning" else last
            if entry.tone == "bad" or entry.id not in recent:
                return remark
            spare.append(remark)
    # The last rule always speaks; of rules that spoke lately, rather that of the epoch before last.
    return next((remark for remark in spare if remark.id != last[-1]), spare[0])


def overall(trace: Trace) -> tuple[Remark, ...]:
    """Return what is to be said of a training as a whole."""
    found = ((entry, entry.rule(trace)) for entry in OVERALL)
    return tuple(
        Remark(id=entry.id, where=said.where, text=said.text, tone=entry.tone)
        for entry, said in found
        if said is not None
    )
