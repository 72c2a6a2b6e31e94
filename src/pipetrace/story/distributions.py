"""How weights and activations were distributed at a training's epochs."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import Distributions, Histogram, Panel
from pipetrace.records import Histograms, Spectrum
from pipetrace.story.epochs import Trace
from pipetrace.story.figures import plural, whole

MOST = 12
"""Of more epochs the first, the last, the one of lowest loss and an even choice are shown."""
_SAMPLED = 65_536
"""Of more numbers a sample is counted."""
_NARROW = 1e-3
"""Half the width of the one interval in which all numbers are equal, at a size of 1."""


def distributions(trace: Trace, best: int | None, title: str = "") -> list[Distributions]:
    """Return the histograms of a training, or nothing where none were taken.

    Args:
        trace: the training.
        best: the epoch of lowest loss, which is shown where it was looked at.
        title: what stands before the block's own title.
    """
    found = _thinned(trace.histograms, best)
    if not found:
        return []
    rows = next((row.probe.off.rows for row in trace.rows if row.probe), 0)
    panels = [
        _panel(f"weights of {path}", [_find(item.weights, path) for item in found], "numbers")
        for path in _paths(found, weights=True)
    ]
    given = f"outputs for {plural(rows, 'fixed training row')}, dropout off"
    panels += [
        _panel(f"outputs of {_named(trace, path)}",
               [_find(item.activations, path) for item in found], given)
        for path in _paths(found, weights=False)
    ]  # fmt: skip
    own = "Weights and outputs at the end of epochs" if rows else "Weights at the end of epochs"
    start = "; 0 is before the first step" if found[0].epoch == 0 else ""
    every = len(trace.histograms)
    some = f"; {len(found)} of {whole(every)} are shown" if len(found) < every else ""
    return [
        Distributions(
            title=f"{title}: {own.lower()}{start}{some}" if title else f"{own}{start}{some}",
            x_label="epoch",
            moments=tuple(float(item.epoch) for item in found),
            panels=tuple(panels),
        )
    ]


def _thinned(found: Sequence[Histograms], best: int | None) -> list[Histograms]:
    found = sorted(found, key=lambda item: item.epoch)
    if len(found) <= MOST:
        return found
    lowest = [item for item in found if item.epoch == best]
    most = MOST - len(lowest)
    places = {round(index * (len(found) - 1) / (most - 1)) for index in range(most)}
    return [item for at, item in enumerate(found) if at in places or item in lowest]


def _paths(found: Sequence[Histograms], *, weights: bool) -> list[str]:
    """Return every path that was looked at, in order of the last look."""
    paths: dict[str, None] = {}
    for item in reversed(found):
        paths |= {each.path: None for each in (item.weights if weights else item.activations)}
    return list(paths)


def _find(spectra: Sequence[Spectrum], path: str) -> Spectrum | None:
    return next((item for item in spectra if item.path == path), None)


def _panel(label: str, spectra: Sequence[Spectrum | None], what: str) -> Panel:
    counted = [(sum(item.counts), item.total) for item in spectra if item]
    count, total = counted[-1]
    if count == total:
        note = f"{what}: all {whole(total)} counted"
    elif total <= _SAMPLED:
        note = f"{what}: {whole(count)} of {whole(total)} counted, the others are not finite"
    else:
        note = f"{what}: {whole(count)} of {whole(total)} counted, finite ones spread evenly"
    if "numbers" in what:
        note = note.removeprefix("numbers: ").replace("counted", "numbers counted", 1)
    return Panel(label=label, histograms=tuple(map(_histogram, spectra)), note=note)


def _histogram(found: Spectrum | None) -> Histogram | None:
    """Give an interval without width, for numbers that are all equal, one that can be drawn."""
    if found is None:
        return None
    low, high = found.low, found.high
    if low == high:
        half = _NARROW * max(1.0, abs(low))
        low, high = low - half, high + half
    return Histogram(low=low, high=high, counts=found.counts)


def _named(trace: Trace, path: str) -> str:
    parts = trace.model.modules if trace.model else ()
    kind = next((part.type for part in parts if part.path == path), "")
    return f"{path} {kind}".strip()
