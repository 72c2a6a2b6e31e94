"""What two runs measured while they trained: step by step, epoch by epoch, and at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pipetrace.blocks import AnyBlock, Chart, Line, Table, Text
from pipetrace.records import Score
from pipetrace.story.differences.pair import MISSING, Finding, Pair, against, same, table
from pipetrace.story.epochs import Row, Trace
from pipetrace.story.figures import losses, number, plural, whole
from pipetrace.story.registry import Content
from pipetrace.story.training import LONGEST, best

_Values = tuple[float | None, ...]
_Column = tuple[tuple[str, str], list[_Values]]


def curves(pair: Pair) -> Content | None:
    """Put the trainings of both side by side, paired in the order in which they began."""
    blocks: list[AnyBlock] = []
    for at, (a, b) in enumerate(pair.trainings):
        which = f"Training {at + 1}" if len(pair.trainings) > 1 else ""
        if a is None or b is None:
            words = f"{which or 'A training'} is in {'B' if a is None else 'A'} only."
            blocks.append(Text(text=words, tone="warning"))
        else:
            blocks += _training(a, b, which)
    return Content(blocks=tuple(blocks)) if blocks else None


def _training(a: Trace, b: Trace, which: str) -> Iterable[AnyBlock]:
    if a.training.loss != b.training.loss:
        one, two = (trace.training.loss or "unknown" for trace in (a, b))
        words = (f"The loss of A is {one}, that of B {two}: their values measure different "
                 "things.")  # fmt: skip
        yield Text(text=words, tone="warning")
    indexes = sorted({row.index for trace in (a, b) for row in trace.rows})
    if not indexes:
        yield Text(text="No epoch was completed in either run.", tone="muted")
        return
    for field in ("loss", "accuracy"):
        found = _columns(a, b, field, indexes)
        if not found:
            continue
        if len(indexes) > 1:
            yield _chart(field, found, indexes)
        yield _epochs(found, indexes, f"{which}: {field}" if which else field.capitalize())
    yield _ends(a, b)


def _columns(a: Trace, b: Trace, field: str, indexes: Sequence[int]) -> list[_Column]:
    """Return what was measured in each epoch: its names and values in A and in B."""
    held = [trace.held.partition(" (")[0] for trace in (a, b)]
    names = held[0] or held[1], held[1] or held[0]
    found: list[_Column] = [
        (("loop", "loop"), [_over(trace, field, None, indexes) for trace in (a, b)]),
        (names, [_over(trace, field, trace.held, indexes) for trace in (a, b)]),
    ]
    return [column for column in found if {*column[1][0], *column[1][1]} != {None}]


def _over(trace: Trace, field: str, label: str | None, indexes: Sequence[int]) -> _Values:
    """Return the values of an evaluation over epochs; those of the loop where it is None."""
    rows = {row.index: row.loop if label is None else row.scores.get(label) for row in trace.rows}
    return tuple(_field(rows.get(index), field) for index in indexes)


def _field(score: Score | None, field: str) -> float | None:
    return None if score is None else getattr(score, field)


def _chart(field: str, found: Sequence[_Column], indexes: Sequence[int]) -> Chart:
    lines = tuple(
        Line(label=f"{run} {name}", values=values, style="dashed" if run == "B" else "solid")
        for names, sides in found
        for run, name, values in zip("AB", names, sides, strict=True)
        if set(values) != {None}
    )
    return Chart(title=f"{field.capitalize()} by epoch, both runs", x_label="epoch",
                 y_label=field, x=tuple(map(float, indexes)), lines=lines)  # fmt: skip


def _epochs(found: Sequence[_Column], indexes: Sequence[int], caption: str) -> Table:
    """Write values epoch by epoch, each pair with its difference; many epochs are thinned."""
    chosen = list(range(len(indexes)))
    if len(indexes) > LONGEST:
        step = (len(indexes) - 1) / (LONGEST - 1)
        chosen = sorted({round(at * step) for at in range(LONGEST)})
        caption += f": {len(chosen)} of {whole(len(indexes))} epochs"
    heads, columns = ["epoch"], [[str(indexes[at]) for at in chosen]]
    for names, sides in found:
        a, b = ([values[at] for at in chosen] for values in sides)
        written = losses([*a, *b])
        heads += [f"{names[0]} A", f"{names[1]} B", "B − A"]
        columns += [written[: len(a)], written[len(a) :], list(map(minus, a, b))]
    rows = list(zip(*columns, strict=True))
    return table(heads, rows, range(len(heads)), caption)


def minus(a: float | None, b: float | None) -> str:
    """Write how far B lies above A; 0 only where they are equal.

    >>> minus(0.5, 0.45), minus(0.5, 0.5), minus(None, 1.0), minus(1.0, 1.5)
    ('-0.05000', '0', '–', '+0.5000')
    """
    if a is None or b is None:
        return MISSING
    if same(a, b):
        return "0"
    return f"{'+' if b > a else ''}{number(b - a)}"


def _ends(a: Trace, b: Trace) -> Table:
    """Write what was measured last, and the lowest loss, of each."""
    sides = [_last(trace) for trace in (a, b)]
    rows = []
    for label in {**sides[0], **sides[1]}:
        one, two = (side.get(label) for side in sides)
        written = losses([one, two])
        rows.append((label, *written, minus(one, two)))
    last = " and ".join(
        f"{run} after epoch {trace.rows[-1].index}" if trace.rows else f"{run} has no epoch"
        for run, trace in (("A", a), ("B", b))
    )
    return table(("measured last", "A", "B", "B − A"), rows, (1, 2, 3), f"At the end: {last}")


def _last(trace: Trace) -> dict[str, float | None]:
    if not trace.rows:
        return {}
    scores: dict[str, Score] = {}
    for row in trace.rows:
        if row.loop:
            scores["loop"] = row.loop
        if row.probe:
            fixed = "fixed training rows"
            if trace.dropout:
                scores[f"{fixed}, dropout on"] = row.probe.on
            scores[f"{fixed}, {'dropout off' if trace.dropout else 'eval mode'}"] = row.probe.off
        scores |= row.scores
    found: dict[str, float | None] = {
        f"{label}: {field}": value
        for label, score in scores.items()
        for field in ("loss", "accuracy")
        if (value := _field(score, field)) is not None
    }
    low = best(trace)
    if low is not None:
        score = low.scores.get(trace.held) if trace.held else low.loop
        found[f"lowest {'held-out' if trace.held else 'loop'} loss"] = _field(score, "loss")
    return found  # fmt: skip


def same_steps(pair: Pair) -> list[Finding]:
    """Find the first step whose loss, and the first whose learning rate differs, in that order."""
    found = [_series(pair, "loss", "losses"), _series(pair, "rate", "learning rates")]
    return [finding for _, finding in sorted(found, key=lambda item: item[0])]


def _series(pair: Pair, kind: str, label: str) -> tuple[tuple[float, float], Finding]:
    """Compare a number that every step has; return also the training and step that differ first."""
    label, counted = f"{label} by step", 0
    for at, (one, two) in enumerate(pair.trainings):
        a, b = (
            run.series.get(f"{kind}/{trace.training.id}", ()) if trace else ()
            for run, trace in ((pair.a, one), (pair.b, two))
        )
        if one and two and not (a and b):
            continue  # Both trained: only one run measured this.
        size, which = min(len(a), len(b)), pair.training(at)
        for step, (x, y) in enumerate(zip(a, b, strict=False), 1):
            if kind == "rate" and (x != x or y != y):
                size -= 1  # A rate that is no number was not measured.
                continue
            if x != y and not same(x, y):
                what = "loss" if kind == "loss" else "learning rate"
                words = f"step {step}{which}: {what} {against(x, y)}"
                return (at, step), Finding(label, False, words)
        counted += size
        if len(a) != len(b):
            most = f"A made {plural(len(a), 'step')}{which}, B {whole(len(b))}"
            words = f"{plural(size, 'step')} equal; {most}"
            return (at, size + 0.5), Finding(label, False, words, f"the shorter one ends: {most}")
    if not counted:
        return (math.inf, 0), Finding(label, None, "not in both runs")
    return (math.inf, 0), Finding(label, True, plural(counted, "step"))


def same_epochs(pair: Pair) -> Finding:
    """Find the first epoch in which something measured differs."""
    label, counted = "what epochs measured", 0
    for at, (a, b) in enumerate(pair.trainings):
        if a is None or b is None:
            continue
        theirs = {row.index: _numbers(b, row) for row in b.rows}
        for row in a.rows:
            mine, other = _numbers(a, row), theirs.get(row.index, {})
            both = [name for name in mine if name in other]
            for name in both:
                if not same(mine[name], other[name]):
                    words = f"{name} {against(mine[name], other[name])}"
                    where = f"epoch {row.index}{pair.training(at)}"
                    return Finding(label, False, f"{where}: {words}")
            counted += bool(both)
        if len(a.rows) != len(b.rows):
            words = f"A has {plural(len(a.epochs), 'epoch')}{pair.training(at)}, B {len(b.epochs)}"
            return Finding(label, False, words, f"the shorter one ends: {words}")
    if not counted:
        return Finding(label, None, "nothing was measured in both runs")
    return Finding(label, True, plural(counted, "epoch"))


def _numbers(trace: Trace, row: Row) -> dict[str, float]:
    """Return what was measured in an epoch.

    Equal runs need not have the same: how often some are measured depends on the time it takes.
    """
    scores = {"the loop's mean": row.loop, **row.scores}
    if row.probe:
        scores |= {"fixed rows, on": row.probe.on, "fixed rows, off": row.probe.off}
    told = {f"{label} {field}": _field(score, field) for label, score in scores.items()
            for field in ("loss", "accuracy")}  # fmt: skip
    told["gradient norm at the last step"] = row.epoch.gradient_norm if row.epoch else None
    return {name: value for name, value in told.items() if value is not None}
