"""What the templates about dropout ask of a recording besides its stages: rates, rows, losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from pipetrace.lessons.drafts import number
from pipetrace.lessons.reading import SOME_P, Dropping, droppings, heldout_losses, probability
from pipetrace.records import Contrast, Epoch, Prediction, Probe, Training
from pipetrace.tracefile import Recording

_LARGE = 50.0
"""Beyond this size four decimals of a recorded element hold rounding errors of 32 bits."""


class Window(NamedTuple):
    """Neighbouring elements of a sample's row: before its dropout stage, kept or not, and after."""

    dropping: Dropping
    start: int
    before: tuple[float, ...]
    kept: tuple[bool, ...]
    after: tuple[float, ...]


class Losses(NamedTuple):
    """The losses of one epoch's weights: training rows with dropout on and off, and held out."""

    epoch: int
    rows: int
    masks: int
    on: float
    off: float
    heldout: float | None


def rate(recording: Recording, least: float = 0.02, most: float = 0.95) -> float:
    """Return the run's p, to four decimals, or a usual one where that would not show."""
    p = probability(recording)
    return round(p, 4) if p is not None and least <= p <= most else SOME_P


def rates(recording: Recording, random: Random) -> float:
    """Draw a p: the run's own one time in three, else another one that tells 1/p from 1/(1-p)."""
    usual = [0.1, 0.2, 0.25, 0.4, 0.6, 0.75, 0.8]
    own = rate(recording, 0.1, 0.9)
    return own if abs(own - 0.5) > 0.02 and random.random() < 1 / 3 else random.choice(usual)


def windows(recording: Recording, width: int) -> list[Window]:
    """Return stretches of real rows in which the mask kept some elements and dropped others."""
    found = []
    for dropping in droppings(recording)[:4]:
        row = dropping.mask.row
        for start in range(min(len(row), len(dropping.before), len(dropping.after)) - width + 1):
            there = slice(start, start + width)
            values = dropping.before[there]
            if all(0.05 <= abs(value) <= _LARGE for value in values) and len(set(row[there])) == 2:
                found.append(Window(dropping, start, values, row[there], dropping.after[there]))
    return found


def told_apart(recording: Recording) -> list[Losses]:
    """Return the epochs whose loss was higher under every mask than with dropout off.

    Of the first training alone; none where something draws random numbers in eval mode too.
    """
    first = recording.first(Training)
    if first is None or any(item.drawing for item in recording.all(Contrast)):
        return []
    heldout = heldout_losses(recording, in_eval=True)
    found = []
    for probe in recording.all(Probe):
        on, off = probe.on.loss, probe.off.loss
        if probe.training != first.id or on is None or off is None:
            continue
        low = probe.on_low if probe.on_low is not None else on
        if math.isfinite(on) and math.isfinite(off) and low > off and round(on - off, 3) > 0:
            found.append(
                Losses(probe.epoch, probe.off.rows, probe.masks, on, off, heldout.get(probe.epoch))
            )
    return found


def epoch_losses(recording: Recording) -> dict[int, float]:
    """Return the loss that the training loop saw, by epoch, of the first training."""
    first = recording.first(Training)
    return {
        epoch.index: epoch.score.loss
        for epoch in recording.all(Epoch)
        if first is not None and epoch.training == first.id and epoch.score.loss is not None
    }


def chosen(recording: Recording) -> Prediction | None:
    """Return the prediction of the sample that the user chose."""
    found = [item for item in recording.all(Prediction) if item.role == "chosen"]
    return found[-1] if found else None


def listed(values: Iterable[float]) -> str:
    """Write numbers as an executed list of them is written.

    >>> listed([0.5, 1 / 3, 0])
    '[0.5, 0.3333, 0.0]'
    """
    return f"[{', '.join(number(float(value)) for value in values)}]"


def apart(values: Iterable[float], least: float) -> bool:
    """Tell whether numbers are far enough from each other, as a share of the larger of each two.

    >>> apart([1.0, 1.1, 2.0], 0.05), apart([1.0, 1.1], 0.2)
    (True, False)
    """
    ordered = sorted(values)
    pairs = itertools.pairwise(ordered)
    return all(b - a > least * max(abs(a), abs(b)) for a, b in pairs)
