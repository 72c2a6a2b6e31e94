"""What a sample's prediction becomes over many draws of dropout, in a sentence and a table."""

from __future__ import annotations

from collections.abc import Callable

from pipetrace.blocks import AnyBlock, Head, Table, Text
from pipetrace.records import Model, Op, Prediction, Spread
from pipetrace.story.figures import listing, number, plural
from pipetrace.tracefile import Recording

MOST = 8
"""So many outputs have a line in the table, those of the highest means."""


def spreads(recording: Recording, told: Prediction, name: Callable[[int], str]) -> list[AnyBlock]:
    """Return what draws of dropout change of one prediction; nothing where none were made.

    Args:
        recording: the run.
        told: the prediction.
        name: writes a class.
    """
    found = told.spread
    if found is None:
        return []
    binary = told.task == "binary" and len(found.mean) == 1
    labels = _labels(told, found, name, binary)
    order = sorted(range(len(found.mean)), key=lambda at: -found.mean[at])
    shown = sorted(order[:MOST])
    what = "probability" if found.kind == "probabilities" else "output"
    heads = [Head(label="class" if found.votes else "output")]
    off = told.probabilities if found.kind == "probabilities" else told.scores
    heads += [
        Head(label="dropout off" if _drops(recording) else "eval mode", number=True, note=what),
        Head(label="mean", number=True, note=f"over {plural(found.draws, 'draw')}"),
        Head(label="5 %", number=True, note="5 % of the draws gave less"),
        Head(label="95 %", number=True, note="5 % of the draws gave more"),
    ]
    votes = len(found.votes) == len(found.mean)
    if votes:
        heads.append(Head(label="draws", number=True, note="in which it was the predicted class"))
    rows = []
    for at in shown:
        values = (off[at] if at < len(off) else None, found.mean[at], found.low[at], found.high[at])
        cells = [labels[at], *(_written(value, what) for value in values)]
        rows.append((*cells, *([str(found.votes[at])] if votes else [])))
    cut = ""
    if len(shown) < len(order):
        cut = f", the {len(shown)} of {len(order)} with the highest mean"
    caption = f"The {what} over {plural(found.draws, 'draw')}{cut}"
    sentence = _sentence(recording, told, found, name, binary)
    return [Text(text=sentence), Table(heads=tuple(heads), rows=tuple(rows), caption=caption)]


def _sentence(
    recording: Recording, told: Prediction, found: Spread, name: Callable[[int], str], binary: bool
) -> str:
    source = "dropout" if _drops(recording) else "what is random in the training forward"
    head = f"Over {plural(found.draws, 'draw')} of {source}, everything else in eval mode, "
    if not found.votes:
        what = "probability" if found.kind == "probabilities" else "output"
        first = f"the {what}" if len(found.mean) == 1 else f"{what} 0"
        low, mean, high = (number(item[0]) for item in (found.low, found.mean, found.high))
        return f"{head}{first} was {mean} on average; 90 % of the draws gave {low} to {high}."
    order = sorted(range(len(found.votes)), key=lambda at: -found.votes[at])
    chosen = [f"{name(at)} in {found.votes[at]}" for at in order[:4] if found.votes[at]]
    more = sum(found.votes[at] > 0 for at in order[4:])
    chosen += [f"{plural(more, 'other class', 'other classes')} in the rest"] if more else []
    at = told.predicted if told.predicted is not None else order[0]
    least, most = found.low[0 if binary else at], found.high[0 if binary else at]
    if binary and at == 0:
        least, most = 1 - most, 1 - least
    return (
        f"{head}the model chose {listing(chosen)}; the probability of {name(at)} lay between "
        f"{least:.3f} and {most:.3f} in 90 % of the draws."
    )


def _labels(told: Prediction, found: Spread, name: Callable[[int], str], binary: bool) -> list[str]:
    if binary:
        return [name(1)]
    if told.task == "classes" and found.votes:
        return [name(at) for at in range(len(found.mean))]
    return [f"output {at}" for at in range(len(found.mean))]


def _written(value: float | None, what: str) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if what == "probability" else number(value)


def _drops(recording: Recording) -> bool:
    """Tell whether the model is known to have dropout: else something else draws."""
    parts = (part.type for model in recording.all(Model) for part in model.modules)
    return any("Dropout" in part for part in parts) or any(op.mask for op in recording.all(Op))
