"""The training trace: each epoch's numbers, told apart by the weights and rows they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev

from pipetrace.blocks import AnyBlock, Chart, Head, Line, Pin, Remark, Remarks, Table, Text
from pipetrace.records import Score
from pipetrace.story.distributions import distributions
from pipetrace.story.epochs import OWN, Row, Trace, finite, traces
from pipetrace.story.figures import (
    accuracy,
    learning_rate,
    listing,
    loss,
    losses,
    plural,
    size,
    whole,
)
from pipetrace.story.layers import layers
from pipetrace.story.observations import observe, overall
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

LONGEST = 30
"""A table of more epochs is thinned."""
WIDEST = 7
"""A table of more columns is cut in two, one for the loss and one for the accuracy."""
FEW = 10
"""Of more epochs, what is said of each is not printed when a run has ended."""
MOST = 10
"""Of more trainings only so many are shown epoch by epoch."""
STAYED = "what draws in eval mode too stayed on"
_Read = Callable[[Row], Score | None]


@section(id="training", title="Training trace", order=40)
def training(recording: Recording) -> Content | None:
    """Tell every training of the run, one after the other."""
    found = traces(recording)
    if not found:
        return None
    blocks: list[AnyBlock] = [_summary(found)] if len(found) > 1 else []
    brief = list(blocks)
    for number, trace in enumerate(found[:MOST], 1):
        heading = _heading(trace, number, len(found)) if len(found) > 1 else ""
        short, told, details = _blocks(trace, heading)
        brief += [*short, *(told if len(trace.rows) <= FEW else ())] if len(found) < 3 else []
        blocks += [*short, *told, *details]
    if len(found) > MOST:
        words = f"The first {MOST} of {len(found)} trainings are shown epoch by epoch."
        blocks.append(Text(text=words, tone="muted"))
    title = (
        f"Training trace, {found[0].length}"
        if len(found) == 1
        else f"Training trace, {len(found)} trainings"
    )
    return Content(blocks=tuple(blocks), title=title, brief=tuple(brief))


def thinned(trace: Trace) -> list[Row]:
    """Return the rows to show: up to 30 epochs all, else first, best, last and an even choice.

    Near the places of an even choice, epochs whose fixed rows were probed come first.
    """
    rows = trace.rows
    if len(rows) <= LONGEST:
        return list(rows)
    step = (len(rows) - 1) / (LONGEST * 2 // 3 - 1)
    probed = [at for at, row in enumerate(rows) if row.probe]
    chosen = set()
    for place in (round(index * step) for index in range(LONGEST * 2 // 3)):
        near = [at for at in probed if abs(at - place) < step / 2]
        inner = 0 < place < len(rows) - 1
        chosen.add(min(near, key=lambda at: abs(at - place)) if near and inner else place)
    lowest = best(trace)
    return [row for at, row in enumerate(rows) if at in chosen or row is lowest]


def best(trace: Trace) -> Row | None:
    """Return the epoch with the lowest held-out loss, without held-out data the loop's lowest."""

    def value(row: Row) -> float | None:
        score = row.scores.get(trace.held) if trace.held else row.loop
        return finite(score.loss) if score else None

    measured = [(found, row) for row in trace.epochs if (found := value(row)) is not None]
    return min(measured, key=lambda pair: pair[0])[1] if measured else None


def _heading(trace: Trace, number: int, count: int) -> str:
    made = trace.training
    by = f" by {made.optimizer}" if made.optimizer else ""
    return f"Training {number} of {count}{by}, {trace.length}"


def _summary(found: Sequence[Trace]) -> Table:
    """Put the last epoch of every training side by side, and what they come to on average."""
    checked = all(trace.held.startswith("held-out") for trace in found)
    heads = [Head(label="training", number=True), Head(label="model"), Head(label="optimizer")]
    heads += [Head(label="epochs", number=True), Head(label="loop loss", number=True)]
    name = "held-out" if checked else "evaluation"
    note = "" if checked else "over evaluated rows; each training says if it knew them"
    heads.append(Head(label=f"{name} loss", number=True, note=note))
    heads.append(Head(label=f"{name} accuracy", number=True))
    rows, scores = [], []
    for number, trace in enumerate(found, 1):
        last = trace.epochs[-1] if trace.epochs else None
        loop = last.loop if last else None
        held = last.scores.get(trace.held) if last else None
        cells = [str(number), _model(trace), trace.training.optimizer]
        cells += [str(len(trace.epochs) - trace.broken_off)]
        scores.append((loop.loss if loop else None, held.loss if held else None,
                       held.accuracy if held else None))  # fmt: skip
        rows.append((*cells, *_written(scores[-1])))
    caption = "Each training's last epoch"
    if len({row[1:4] for row in rows}) == 1 and len(rows) > 2:
        means, spreads = zip(
            *(_spread(column) for column in zip(*scores, strict=True)), strict=True
        )
        rows.append(("mean", "", "", "", *_written(means)))
        rows.append(("spread", "", "", "", *_written(spreads)))
        caption += "; spread: standard deviation over the trainings"
    return Table(heads=tuple(heads), rows=tuple(rows), caption=caption)


def _model(trace: Trace) -> str:
    known = trace.model
    return known.type if known else f"model {trace.training.model}"


def _written(scores: Sequence[float | None]) -> tuple[str, str, str]:
    return loss(scores[0]), loss(scores[1]), accuracy(scores[2])


def _spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return the mean and the standard deviation of values, where all are known."""
    known = [number for value in values if (number := finite(value)) is not None]
    return (mean(known), stdev(known)) if len(known) == len(values) else (None, None)


Told = Sequence[AnyBlock]


def _blocks(trace: Trace, heading: str) -> tuple[Told, Told, Told]:
    """Tell a training: in short, epoch by epoch, and in detail."""
    if not trace.rows:
        words = "Optimizer steps were seen, but no epoch was completed."
        return [Text(text=f"{heading}: {words}" if heading else words, tone="muted")], (), ()
    shown = thinned(trace)
    blocks: list[AnyBlock] = [*_tables(trace, shown, heading)]
    sparse = _sparse(trace)
    if sparse:
        blocks.append(Text(text=sparse, tone="muted"))
    whole_training, each = overall(trace), _remarks(trace, shown)
    chart = _chart(trace, each)
    if chart:
        blocks.append(chart)
    if trace.random and trace.staying:
        words = (
            f"Stayed on in both the train and the eval column: {trace.staying}. The two columns "
            "do not tell its effect."
        )
        blocks.append(Text(text=words, tone="warning"))
    if whole_training:
        blocks.append(Remarks(remarks=whole_training, title="On the whole training"))
    told = [Remarks(remarks=each, title="Epoch by epoch")] if each else []
    lowest = best(trace)
    details = layers(trace)
    details += distributions(trace, lowest.index if lowest else None, heading)
    details += [
        Text(text=words, tone="muted")
        for words in (_fixed(trace), _costs(trace), _missing(trace))
        if words
    ]
    return blocks, told, details


def _columns(trace: Trace) -> list[tuple[str, str, _Read]]:
    """Return the label, the meaning and the reader of each pair of columns."""
    rows = next((row.probe.off.rows for row in trace.rows if row.probe), 0)
    masks = max((row.probe.masks for row in trace.rows if row.probe), default=0)
    modes = {row.epoch.mode for row in trace.epochs if row.epoch}
    mode = {True: ", in train mode", False: ", in eval mode", None: ""}[
        modes.pop() if len(modes) == 1 else None
    ]
    columns: list[tuple[str, str, _Read]] = [
        (
            "loop",
            f"the loop's own mean{mode}, over weights that change with every step",
            lambda row: row.loop,
        )
    ]
    fixed = f"{plural(rows, 'fixed training row')} at the epoch's last weights"
    if trace.random and trace.staying:
        on = f"{fixed}, train mode, mean of {plural(masks, 'draw')}"
        columns.append(("train mode", on, lambda row: row.probe.on if row.probe else None))
        columns.append(("eval mode", f"{fixed}, eval mode; {STAYED}: {trace.staying}", _off))
    elif trace.random:
        what, drawn = ("dropout", "mask") if trace.drops else ("randomness", "draw")
        on = f"{fixed}, {what} on, mean of {plural(masks, drawn)}"
        aside = "; batch normalisation in eval mode in both" if trace.normalised else ""
        columns.append((f"{what} on", on, lambda row: row.probe.on if row.probe else None))
        columns.append((f"{what} off", f"{fixed}, {what} off{aside}", _off))
    else:
        columns.append(("fixed rows", f"{fixed}, eval mode", _off))
    columns += [(label, trace.notes[label], _reader(label)) for label in trace.labels]
    return columns


def _off(row: Row) -> Score | None:
    return row.probe.off if row.probe else None


def _reader(label: str) -> _Read:
    return lambda row: row.scores.get(label)


def _measured(trace: Trace, read: _Read, field: str) -> bool:
    return any((score := read(row)) and getattr(score, field) is not None for row in trace.rows)


def _tables(trace: Trace, shown: Sequence[Row], caption: str) -> list[Table]:
    """Put loss and accuracy side by side; in two tables where that would be too wide."""
    if len(shown) < len(trace.rows):
        lowest = best(trace)
        low = (
            f"; the lowest {trace.held or 'loop'} loss is in epoch {lowest.index}" if lowest else ""
        )
        some = f"{len(shown)} of {whole(len(trace.rows))} epochs{low}"
        caption = f"{caption}: {some}" if caption else some
    both = _table(trace, shown, ("loss", "accuracy"), caption)
    if len(both.heads) <= WIDEST:
        return [both]
    return [
        _table(trace, shown, (part,), f"{caption}: {part}" if caption else part.capitalize())
        for part in ("loss", "accuracy")
    ]


def _table(trace: Trace, shown: Sequence[Row], fields: Sequence[str], caption: str) -> Table:
    heads = [Head(label="epoch", number=True)]
    cells = [[str(row.index) for row in shown]]
    for label, note, read in _columns(trace):
        written = note if "loss" in fields or not _measured(trace, read, "loss") else ""
        for field in fields:
            if _measured(trace, read, field):
                name = _head(label, field) if len(fields) > 1 else label
                heads.append(Head(label=name, number=True, note=written))
                found = [getattr(read(row), field, None) for row in shown]
                cells.append(losses(found) if field == "loss" else [accuracy(n) for n in found])
                written = ""
    if len(_rates(trace)) > 1 and "loss" in fields:
        heads.append(Head(label="learning rate", number=True, note="of the epoch's last step"))
        cells.append(
            [
                learning_rate(row.epoch.rates[0]) if row.epoch and row.epoch.rates else "–"
                for row in shown
            ]
        )
    return Table(heads=tuple(heads), rows=tuple(zip(*cells, strict=True)), caption=caption)


def _head(label: str, field: str) -> str:
    return f"{label}: {field}" if label.endswith((" on", " off")) else f"{label} {field}"


def _rates(trace: Trace) -> set[float]:
    return {row.epoch.rates[0] for row in trace.rows if row.epoch and row.epoch.rates}


def _chart(trace: Trace, remarks: Sequence[Remark]) -> Chart | None:
    """Draw the losses, with what is said of an epoch pinned to it."""
    if len(trace.rows) < 2:
        return None
    styles = {"loop": "dotted"}
    styles |= dict.fromkeys(("dropout on", "randomness on", "train mode"), "dashed")
    lines = tuple(
        Line(
            label=label,
            values=tuple(score.loss if (score := read(row)) else None for row in trace.rows),
            style=styles.get(label, "solid"),
        )
        for label, _, read in _columns(trace)
        if _measured(trace, read, "loss")
    )
    if not lines:
        return None
    x = tuple(float(row.index) for row in trace.rows)
    name = trace.training.loss
    title = "Loss by epoch" + (f" ({name})" if name else "")
    places = {f"epoch {row.index}": float(row.index) for row in trace.rows}
    pins = tuple(
        Pin(x=places[item.where], text=item.text, id=item.id, tone=item.tone)
        for item in remarks
        if item.where in places
    )
    return Chart(title=title, x_label="epoch", y_label="loss", x=x, lines=lines, pins=pins)


def _remarks(trace: Trace, shown: Sequence[Row]) -> tuple[Remark, ...]:
    """Return what is said of each epoch shown, and of others that warn (60 at most)."""
    remarks = observe(trace)
    places = {f"epoch {row.index}" for row in shown}
    loud = [item.where for item in remarks if item.tone in ("bad", "warning")]
    places.update(loud[:LONGEST])
    return tuple(item for item in remarks if item.where in places)


def _fixed(trace: Trace) -> str:
    """Say what held for all epochs: learning rate, steps, how epochs were recognised."""
    epochs = [row.epoch for row in trace.rows if row.epoch]
    steps = {epoch.steps for epoch in epochs}
    parts = []
    if len(_rates(trace)) == 1:
        parts.append(f"learning rate {learning_rate(_rates(trace).pop())} throughout")
    if len(steps) == 1:
        parts.append(f"{plural(steps.pop(), 'optimizer step')} per epoch")
    rules = dict.fromkeys(epoch.rule for epoch in epochs if epoch.rule)
    if rules and trace.loop == OWN:
        parts.append(f"epochs as {OWN} counts them")
    elif rules:
        parts.append(f"how epochs were recognised: {listing(rules)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _costs(trace: Trace) -> str:
    """Say how fast the epochs were trained, and in how much memory."""
    speeds = sorted(row.speed for row in trace.epochs if row.speed)
    parts = []
    if speeds:
        middle = whole(round(speeds[len(speeds) // 2]))
        slowest, fastest = whole(round(speeds[0])), whole(round(speeds[-1]))
        between = f", slowest epoch {slowest}, fastest {fastest}" if len(speeds) > 1 else ""
        parts.append(
            f"{middle} training rows per second{' (median' if between else ''}{between}"
            f"{')' if between else ''}, evaluations between epochs and recording's own forwards "
            "not counted"
        )
    known = [row.epoch for row in trace.epochs if row.epoch and row.epoch.memory]
    if known:
        last = known[-1]
        what = {"accelerator": "Most memory allocated on the accelerator until",
                "resident": "Memory of the process at",
                "resident peak": "Most memory of the process until"}  # fmt: skip
        words = what.get(last.memory_kind, "Memory at")
        parts.append(f"{words} the end of epoch {last.index}: {size(last.memory or 0)}")
    return f"{'. '.join(parts)}." if parts else ""


def _sparse(trace: Trace) -> str:
    """Say of which epochs the fixed rows have numbers, where not of all."""
    epochs = [row.index for row in trace.epochs]
    probed = [row.index for row in trace.epochs if row.probe]
    if not probed or len(probed) == len(epochs):
        return ""
    without = next(index for index in epochs if index not in set(probed))
    until = max((index for index in probed if index < without), default=0)
    start = f", every one up to {until} and then more rarely" if until else ""
    return (
        "– marks epochs at which the fixed training rows were not probed and the loop's "
        f"predictions not counted: that was done at {whole(len(probed))} of "
        f"{whole(len(epochs))}{start}, to cost little beside the steps of the loop."
    )


def _missing(trace: Trace) -> str:
    """Say which columns have no number, and why where that is known."""
    missing = []
    names = {
        "loop": "the loop's loss",
        "dropout on": "the loss with dropout on",
        "dropout off": "the loss with dropout off",
        "train mode": "the loss of the fixed rows in train mode",
        "eval mode": "the loss of the fixed rows in eval mode",
        "fixed rows": "the loss of the fixed rows",
    }
    for label, _, read in _columns(trace):
        if not _measured(trace, read, "loss"):
            missing.append(names.get(label, f"the {label} loss"))
    task = trace.training.task
    if task in ("classes", "binary") and not _measured(trace, lambda row: row.loop, "accuracy"):
        missing.append("the loop's accuracy")
    if not trace.labels:
        missing.append(f"held-out data ({trace.loop} evaluated none)")
    text = f"Not measured: {listing(missing)}." if missing else ""
    if task == "values":
        text += " Accuracy does not apply: the loss compares values, not classes."
    if not task:
        text += " Accuracy was not measured: no loss function told outputs and targets."
    return text.strip()
