"""What two runs came to: observations and notices by id, and the prediction of one sample."""

from __future__ import annotations

from itertools import zip_longest

from pipetrace.blocks import AnyBlock, Remark, Remarks, Text
from pipetrace.records import Capture, Notice, Prediction
from pipetrace.story.differences.curves import minus
from pipetrace.story.differences.pair import (
    MISSING,
    Finding,
    Pair,
    against,
    apart,
    same,
    table,
)
from pipetrace.story.differences.stages import tensors
from pipetrace.story.epochs import traces
from pipetrace.story.figures import plural
from pipetrace.story.observations import OBSERVATIONS, OVERALL, observe, overall
from pipetrace.story.registry import Content
from pipetrace.tracefile import Recording

PLACES = 4
"""Of more places of an observation the number is written."""
CLASSES = 10
ALONE = (
    "What is said of one run only need not be a difference: it may rest on numbers that only this "
    "run measured, or on seconds and memory."
)


def observations(pair: Pair) -> Content | None:
    """Tell where each observation and notice was made in each run."""
    a, b = _remarks(pair.a), _remarks(pair.b)
    ids = sorted({*a, *b})
    if not ids:
        return None
    rules = {each.id: each.rule.__doc__ or "" for each in OBSERVATIONS}
    rules |= {each.id: each.rule.__doc__ or "" for each in OVERALL}
    rows = [
        (key, _where(a.get(key, [])), _where(b.get(key, [])), rules.get(key, "")) for key in ids
    ]
    alone = [(run, found[0]) for key in ids for run, found, other in
             (("A", a.get(key, []), b.get(key)), ("B", b.get(key, []), a.get(key)))
             if found and not other]  # fmt: skip
    remarks = tuple(
        Remark(id=item.id, where=f"only in {run}{item.where and f', {item.where}'}",
               text=item.text, tone=item.tone)
        for run, item in alone
    )  # fmt: skip
    blocks: list[AnyBlock] = [Remarks(remarks=remarks)] if remarks else []
    if alone:
        blocks.append(Text(text=ALONE, tone="muted"))
    blocks.append(table(("id", "A", "B", "it speaks where"), rows, caption="All, by id"))
    return Content(blocks=tuple(blocks))


def _remarks(recording: Recording) -> dict[str, list[Remark]]:
    found: dict[str, list[Remark]] = {}
    trained = traces(recording)
    for number, trace in enumerate(trained, 1):
        which = f"training {number}, " if len(trained) > 1 else ""
        for item in (*observe(trace), *overall(trace)):
            where = f"{which}{item.where}"
            remark = Remark(id=item.id, where=where, text=item.text, tone=item.tone)
            found.setdefault(item.id, []).append(remark)
    for notice in recording.all(Notice):
        remark = Remark(id=notice.id, where="", text=notice.text)
        found.setdefault(notice.id, []).append(remark)
    return found


def _where(remarks: list[Remark]) -> str:
    if not remarks:
        return MISSING
    places = [item.where for item in remarks if item.where]
    if len(places) > PLACES:
        return f"{len(places)} times, first in {places[0]}"
    return "; ".join(places) or "noticed"


def prediction(pair: Pair) -> Content | None:
    """Put the two predictions of one sample side by side."""
    a, b = pair.a.last(Prediction), pair.b.last(Prediction)
    if a is None or b is None:
        return None
    rows = [
        ("sample", str(a.sample), str(b.sample), ""),
        ("task", a.task, b.task, ""),
        ("predicted class", *_classes(a.predicted, b.predicted), ""),
        ("truth", *apart(a.truth, b.truth), minus(a.truth, b.truth)),
    ]
    name = "probability of class" if a.probabilities or b.probabilities else "output"
    values = [item.probabilities or item.scores for item in (a, b)]
    for at, (one, two) in enumerate(zip_longest(*values)):
        if at == CLASSES:
            break
        rows.append((f"{name} {at}", *apart(one, two), minus(one, two)))
    rows = [row for row in rows if row[1:3] != (MISSING, MISSING) and any(row[1:3])]
    size = max(map(len, values))
    cut = f"The first {CLASSES} of {size} outputs." if size > CLASSES else ""
    blocks: list[AnyBlock] = [table(("", "A", "B", "B − A"), rows, (1, 2, 3), cut)]
    blocks.append(Text(text=_input(pair, a, b), tone="muted"))
    return Content(blocks=tuple(blocks))


def _classes(a: int | None, b: int | None) -> tuple[str, str]:
    one, two = (MISSING if value is None else str(value) for value in (a, b))
    return one, two


def _input(pair: Pair, a: Prediction, b: Prediction) -> str:
    """Say whether both predictions are of the same input."""
    captures = [
        next((item for item in run.all(Capture) if item.id == told.capture), None)
        for run, told in ((pair.a, a), (pair.b, b))
    ]
    one, two = (item.inputs[0][1] if item and item.inputs else None for item in captures)
    if one is None or two is None:
        return "Whether both are of the same input is not recorded."
    words = tensors(one, two)
    if words:
        return f"The inputs differ: {words}."
    return "The inputs are equal in all that was recorded of them."


def same_prediction(pair: Pair) -> Finding:
    """Compare what the trained models gave for one sample."""
    a, b = pair.a.last(Prediction), pair.b.last(Prediction)
    label = "prediction"
    if a is None or b is None:
        return Finding(label, None, "not in both runs")
    if a.sample != b.sample:
        return Finding(label, None, f"of sample {a.sample} against {b.sample}")
    if not a.scores or not b.scores:
        missing = "either run" if not a.scores and not b.scores else "A" if b.scores else "B"
        return Finding(label, None, f"no outputs were recorded in {missing}")
    if len(a.scores) != len(b.scores):
        words = f"{plural(len(a.scores), 'output')} against {len(b.scores)}"
        return Finding(label, False, words, f"the prediction: {words}")
    for at, (one, two) in enumerate(zip(a.scores, b.scores, strict=True)):
        if not same(one, two):
            words = f"output {at} of sample {a.sample}: {against(one, two)}"
            return Finding(label, False, words, f"the prediction: {words}")
    return Finding(label, True, f"{plural(len(a.scores), 'output')} of sample {a.sample}")
