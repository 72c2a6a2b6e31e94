"""Observations on a whole training, from the losses, settings and costs of its epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pipetrace.records import Score
from pipetrace.story.epochs import Row, Trace, finite
from pipetrace.story.figures import (
    accuracy,
    learning_rate,
    loss,
    number,
    percent,
    plural,
    relative,
    size,
)
from pipetrace.story.observations.rules import (
    PLATEAU,
    Found,
    change,
    named,
    noise,
    overall,
    pair,
    standard_error,
    variance,
    with_accuracy,
)

ALL = "all epochs"


def _losses(trace: Trace, read: Callable[[Row], Score | None]) -> list[tuple[Row, float]]:
    found = ((row, read(row)) for row in trace.epochs)
    values = ((row, finite(score.loss) if score else None) for row, score in found)
    return [(row, value) for row, value in values if value is not None]


def _held(trace: Trace) -> list[tuple[Row, float]]:
    return _losses(trace, lambda row: row.scores.get(trace.held))


def _loop(trace: Trace) -> list[tuple[Row, float]]:
    return _losses(trace, lambda row: row.loop)


def _off(row: Row) -> Score | None:
    return row.probe.off if row.probe else None


@overall("OBS201", "warning")
def apart_from(trace: Trace) -> Found | None:
    """Held-out loss ends above its lowest by over 3 times its noise; training loss went on down."""
    held = _held(trace)
    scatter = noise([value for _, value in held])
    if scatter is None or not trace.held.startswith("held-out"):
        return None
    low, lowest = min(held, key=lambda item: item[1])
    last, now = held[-1]
    probes = pair(_off(low), _off(last))
    moved = probes or pair(low.loop, last.loop)
    risen = now - lowest > 3 * scatter and change((lowest, now)) > PLATEAU
    if low is last or not risen or moved is None or change(moved) > -PLATEAU:
        return None
    later = [row for row, _ in held if row.index > low.index]
    which = "on training rows in eval mode" if probes else "of the loop"
    return Found(
        named(later[0], later),
        f"Held-out loss was lowest after epoch {low.index} ({loss(lowest)}) and ends at "
        f"{loss(now)} ({relative(lowest, now)}), while the loss {which} went from "
        f"{loss(moved[0])} to {loss(moved[1])}. Held-out losses scatter by {number(scatter)} "
        "around a smooth course.",
    )


@overall("OBS203")
def best_epoch(trace: Trace) -> Found | None:
    """The lowest held-out loss came before the last epoch, and OBS201 is silent."""
    held = _held(trace)
    if len(held) < 2 or apart_from(trace):
        return None
    low, lowest = min(held, key=lambda item: item[1])
    after = held[-1][0].index - low.index
    if not after:
        return None
    name = trace.held.partition(" (")[0].capitalize()
    return Found(
        f"epoch {low.index}",
        f"{name} loss was lowest here: {loss(lowest)}{with_accuracy(low.scores[trace.held])}; "
        f"{plural(after, 'epoch')} followed, the last with {loss(held[-1][1])}.",
    )


@overall("OBS202")
def level(trace: Trace) -> Found | None:
    """The loop's mean loss stayed within 1 % over the last three epochs or more."""
    loop = _loop(trace)
    rows: list[Row] = []
    low, high = math.inf, -math.inf
    for row, value in reversed(loop):
        if max(high, value) - min(low, value) > PLATEAU * abs(value):
            break
        low, high = min(low, value), max(high, value)
        rows.insert(0, row)
    if len(rows) < 3:
        return None
    return Found(
        named(rows[0], rows),
        f"The loop's mean loss stayed between {number(low)} and {number(high)} in "
        f"the last {plural(len(rows), 'epoch')}.",
    )


@overall("OBS205")
def still_falling(trace: Trace) -> Found | None:
    """The last of three epochs or more lowered both losses by 1 %, the loop's beyond its noise."""
    loop, held = _loop(trace), _held(trace)
    if min(len(loop), len(held)) < 3 or loop[-1][0] is not held[-1][0]:
        return None
    ours, theirs = (loop[-2][1], loop[-1][1]), (held[-2][1], held[-1][1])
    if change(ours) > -PLATEAU or change(theirs) > -PLATEAU or theirs[1] > min(v for _, v in held):
        return None
    error = standard_error(loop[-2][0], loop[-1][0])
    if error is not None and ours[0] - ours[1] <= 2 * error:
        return None
    name = trace.held.partition(" (")[0]
    return Found(
        named(loop[-1][0]),
        f"Both losses still fell in the last epoch: the loop's by {percent(-change(ours))} to "
        f"{loss(ours[1])}, the {name} one by {percent(-change(theirs))} to {loss(theirs[1])}.",
    )


@overall("OBS206", "warning")
def no_better(trace: Trace) -> Found | None:
    """After the last epoch, training rows are not predicted better than by guessing evenly."""
    last = trace.epochs[-1] if trace.epochs else None
    score = (_off(last) or last.loop) if last else None
    known = trace.classes
    if last is None or not score or score.accuracy is None or not score.rows or not known:
        return None
    share = 1 / known
    most = share + 1.96 * math.sqrt(share * (1 - share) / score.rows)
    if known < 2 or score.accuracy > most:
        return None
    return Found(
        named(last),
        f"Accuracy {accuracy(score.accuracy)} on {plural(score.rows, 'training row')} at the end; "
        f"guessing evenly among {known} classes gives up to {most:.3f} in 97.5 % of cases.",
    )


@overall("OBS204")
def modes(trace: Trace) -> Found | None:
    """Without anything random, the loop's train-mode loss is far from the one in eval mode."""
    probed = [row for row in trace.epochs if row.probe and row.epoch and row.epoch.mode]
    if trace.random or trace.terms or not probed:
        return None
    both = pair(_off(probed[-1]), probed[-1].loop)
    if both is None or abs(change(both)) < 0.1:
        return None
    off = _off(probed[-1])
    return Found(
        named(probed[-1]),
        f"The loop's mean loss is {loss(both[1])} in train mode, over weights that change; at the "
        f"last weights in eval mode {plural(off.rows if off else 0, 'training row')} have "
        f"{loss(both[0])}.",
    )


@overall("OBS214")
def better_unseen(trace: Trace) -> Found | None:
    """In eval mode, held-out accuracy lies over two standard errors above that of training rows."""
    last = next((row for row in reversed(trace.epochs) if _off(row)), None)
    held = last.scores.get(trace.held) if last else None
    ours = _off(last) if last else None
    equal = trace.notes.get(trace.held, "").find("eval mode") >= 0
    if not (last and held and ours and equal) or not trace.held.startswith("held-out"):
        return None
    if held.accuracy is None or ours.accuracy is None or not held.rows or not ours.rows:
        return None
    variances = [s.accuracy * (1 - s.accuracy) / s.rows for s in (held, ours) if s.accuracy]
    error = math.sqrt(sum(variances))
    if held.accuracy - ours.accuracy <= 2 * error:
        return None
    return Found(
        named(last),
        f"In eval mode, {plural(held.rows, 'held-out row')} have accuracy "
        f"{accuracy(held.accuracy)} and {plural(ours.rows, 'training row')} "
        f"{accuracy(ours.accuracy)}; the standard error of the difference is {error:.3f}.",
    )


@overall("OBS215", "warning")
def eval_mode(trace: Trace) -> Found | None:
    """Every epoch was trained with the root module in eval mode."""
    seen = [row.epoch.mode for row in trace.epochs if row.epoch]
    if not seen or any(mode is not False for mode in seen):
        return None
    return Found(
        ALL,
        f"The root module was in eval mode in every training forward of "
        f"{plural(len(seen), 'epoch')}: dropout was off, and batch normalisation used its running "
        "statistics.",
    )


@overall("OBS217")
def rates(trace: Trace) -> Found | None:
    """The learning rate changed at most three times: the loss by epoch before and after."""
    loop = [(row, value) for row, value in _loop(trace) if row.epoch and row.epoch.rates]
    told, moves = [], 0
    for at in range(1, len(loop)):
        old, new = (row.epoch.rates[0] for row, _ in loop[at - 1 : at + 1] if row.epoch)
        if abs(new - old) < old / 10:
            continue
        moves += 1
        before = [value for _, value in loop[max(0, at - 4) : at]]
        after = [value for _, value in loop[at - 1 : at + 3]]
        if len(before) > 2 and len(after) > 2:
            told.append(
                f"Learning rate {learning_rate(old)} to {learning_rate(new)} in epoch "
                f"{loop[at][0].index}: the loop's mean loss changed by {_pace(before)} before, by "
                f"{_pace(after)} from then on."
            )
    if not told or moves > 3:
        return None
    return Found(ALL, " ".join(told))


def _pace(values: Sequence[float]) -> str:
    """Write the mean change by epoch: `-3.0 % an epoch over 3 epochs`."""
    if values[0] <= 0 or values[-1] <= 0:
        step = (values[-1] - values[0]) / (len(values) - 1)
        return f"{step:+.3g} an epoch over {plural(len(values) - 1, 'epoch')}"
    step = (values[-1] / values[0]) ** (1 / (len(values) - 1)) - 1
    return f"{100 * step:+.1f} % an epoch over {plural(len(values) - 1, 'epoch')}"


@overall("OBS212")
def noisy(trace: Trace) -> Found | None:
    """The mean loss's last change lies within twice its standard error, by the steps' spread."""
    rows = [row for row in trace.epochs if len(row.losses) > 7]
    if len(rows) < 2:
        return None
    before, now = rows[-2:]
    moved = math.fsum(now.losses) / len(now.losses) - math.fsum(before.losses) / len(before.losses)
    way = "rose" if moved > 0 else "fell"
    error = standard_error(before, now)
    if not error or abs(moved) > 2 * error:
        return None
    return Found(
        named(now),
        f"From epoch {before.index} to {now.index} the mean of the steps' losses {way} by "
        f"{number(abs(moved))}: less than twice the standard error of that change (twice it is "
        f"{number(2 * error)}), which follows from how far the losses of "
        f"{plural(len(now.losses), 'step')} lie apart "
        f"(standard deviation {number(math.sqrt(variance(now.losses)))}).",
    )


@overall("OBS213", "warning")
def growing(trace: Trace) -> Found | None:
    """Memory grew at three looks in a row or more, until the last, by over 5 % in all."""
    found = [(row, row.epoch.memory) for row in trace.epochs if row.epoch and row.epoch.memory]
    # The first epoch sets up what stays: optimizer states, caches of the allocator.
    tail = found[-1:]
    for item in reversed(found[1:-1]):
        if item[1] >= tail[0][1]:
            break
        tail.insert(0, item)
    if len(tail) < 4 or tail[-1][1] < 1.05 * tail[0][1]:
        return None
    kind = tail[-1][0].epoch.memory_kind if tail[-1][0].epoch else ""
    what = "allocated on the accelerator at most" if kind == "accelerator" else "held in RAM"
    rows = [row for row, _ in tail]
    return Found(
        named(rows[0], rows),
        f"Memory {what} grew at each of {len(tail) - 1} looks, from {size(tail[0][1])} to "
        f"{size(tail[-1][1])} ({relative(tail[0][1], tail[-1][1])}).",
    )
