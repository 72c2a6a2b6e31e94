"""The loss of every step, thinned for a chart in such a way that no spike is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Chart, Line
from pipetrace.records import Epoch, Training
from pipetrace.story.figures import plural, whole
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

POINTS = 400
"""A chart of more steps shows the smallest and the largest value of equal stretches."""
FEWEST = 20
"""Fewer steps than this are told by their epochs."""
MOST = 10
"""Of more trainings only so many have a chart."""


@section(id="steps", title="Step by step", order=42)
def steps(recording: Recording) -> Content | None:
    """Draw the loss by step of every training, and its learning rate where that changes."""
    trainings = recording.all(Training)
    blocks: list[AnyBlock] = []
    thinned = 0
    for training in trainings[:MOST]:
        name = f", training {training.id + 1}" if len(trainings) > 1 else ""
        losses = recording.series.get(f"loss/{training.id}", ())
        rates = recording.series.get(f"rate/{training.id}", ())
        epochs = sum(epoch.training == training.id for epoch in recording.all(Epoch))
        if len(losses) < FEWEST or len(losses) <= epochs:
            continue
        thinned = max(thinned, len(losses))
        blocks += _chart(f"Loss of each step{name}", "loss", losses)
        if len(rates) and min(rates) != max(rates):
            blocks += _chart(f"Learning rate of each step{name}", "learning rate", rates)
    if not blocks:
        return None
    intro = "The loss that each optimizer step was made from, as the program computed it."
    if thinned > POINTS:
        intro += (
            f" Of up to {plural(thinned, 'step')} each chart shows at most {whole(POINTS)} points: "
            "the smallest and the largest value of equal stretches."
        )
    return Content(blocks=tuple(blocks), intro=intro)


def envelope(values: Sequence[float], most: int) -> list[tuple[int, float]]:
    """Return at most `most` values with their places: of each stretch the smallest and the largest.

    Args:
        values: Numbers; those that are not finite are left out.
        most: How many to return at most, 4 or more.

    >>> envelope([1.0, 2.0, 9.0, 2.0, 1.5, 1.0, float("nan"), 1.2], 4)
    [(0, 1.0), (2, 9.0), (4, 1.5), (5, 1.0)]
    """
    count = len(values)
    if count <= most:
        return [(at, value) for at, value in enumerate(values) if math.isfinite(value)]
    stretches = most // 2
    chosen: list[tuple[int, float]] = []
    for number in range(stretches):
        start, end = number * count // stretches, (number + 1) * count // stretches
        own = values[start:end]
        low, high = min(own), max(own)
        if not math.isfinite(sum(own)):
            finite = [value for value in own if math.isfinite(value)]
            if not finite:
                continue
            low, high = min(finite), max(finite)
        places = {start + own.index(low), start + own.index(high)}
        chosen += [(at, values[at]) for at in sorted(places)]
    return chosen


def _chart(title: str, label: str, values: Sequence[float]) -> list[Chart]:
    points = envelope(values, POINTS)
    line = Line(label=label, values=tuple(value for _, value in points))
    steps = tuple(float(at + 1) for at, _ in points)
    chart = Chart(title=title, x_label="step", y_label=label, x=steps, lines=(line,))
    return [chart] if len(points) > 1 else []
