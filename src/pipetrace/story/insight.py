"""The key insight: one sentence whose numbers were all measured in this run."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import Text
from pipetrace.records import Capture, Ended, Failure, Mask, Model, NotFinite, Op, Probe, Score
from pipetrace.story.broken import sentence
from pipetrace.story.drawing import staying, warning
from pipetrace.story.epochs import Trace, finite, traces
from pipetrace.story.figures import RARE, accuracy, loss, percent, plural, relative, setting, whole
from pipetrace.story.forwards import forwards
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording


@section(id="insight", title="Key insight", order=20)
def insight(recording: Recording) -> Content | None:
    """Tell the strongest measured fact of the run in one sentence."""
    text = (
        _stopped(recording)
        or _broken(recording)
        or _dropout(recording)
        or _trained(recording)
        or _forward(recording)
    )
    drawn = staying(recording)
    if drawn:
        text = f"{text} {warning(*drawn)}".strip()
    return Content(blocks=(Text(text=text, tone="key"),)) if text else None


def _stopped(recording: Recording) -> str:
    failure, ended = recording.last(Failure), recording.last(Ended)
    if failure is None or (ended is not None and ended.status == "interrupted"):
        return ""
    where = f" in `{failure.function}`" if failure.function else ""
    owner = f" of `{failure.module}` ({failure.module_type})" if failure.module else ""
    line = f" at line {failure.frames[-1].line}" if failure.frames else ""
    captures = recording.all(Capture)
    steps = max((capture.step for capture in captures), default=0)
    after = f", after at least {plural(steps, 'optimizer step')}" if steps else ""
    return f"The program stopped with {failure.type}{where}{owner}{line}{after}."


def _broken(recording: Recording) -> str:
    """Quote the first NaN or infinity, where nothing else can be trusted."""
    if not recording.first(NotFinite):
        return ""
    text = next(filter(None, map(sentence, forwards(recording))), "")
    return f"{text}." if text else ""


def _dropout(recording: Recording) -> str:
    """Quote the probe of the last epoch and the mask of the first training batch."""
    share = _masks(recording)
    found = traces(recording)
    chosen = next((number for number, trace in enumerate(found, 1) if trace.dropout), 0)
    which = f" of training {chosen} of {len(found)}" if len(found) > 1 else ""
    effect = _effect(found[chosen - 1], which) if chosen else ""
    if effect and share:
        return f"{effect}; {share}."
    if effect or share:
        text = effect or share
        return f"{text[:1].upper()}{text[1:]}."
    return ""


def _effect(trace: Trace, which: str) -> str:
    probes = [row.probe for row in trace.rows if row.probe and _losses(row.probe)]
    if not probes:
        return ""
    probe = probes[-1]
    off, on = _losses(probe) or (0.0, 0.0)
    head = (
        f"At the weights of epoch {probe.epoch}{which}, on the same {plural(probe.on.rows, 'row')}"
    )
    masks = f"mean of {plural(probe.masks, 'mask')}"
    low, high = probe.on_low, probe.on_high
    if low is not None and high is not None and probe.masks > 1:
        masks += f", {loss(low)} to {loss(high)}"
        if low <= off <= high:
            return (
                f"{head}, dropout changed the loss by less than one mask differs from another: "
                f"{loss(off)} with dropout off, {loss(on)} with it on ({masks})"
            )
    word = "raised" if on > off else "lowered" if on < off else "left"
    moved = f"the loss from {loss(off)} to {loss(on)}" if on != off else f"the loss at {loss(off)}"
    if loss(on) == loss(off) and on != off:
        moved = f"the loss by {relative(off, on).rsplit(' ', 1)[0]}, at {loss(off)}"
    text = f"{head}, dropout {word} {moved} ({masks})"
    before, after = probe.off.accuracy, probe.on.accuracy
    if before is not None and after is not None:
        far = accuracy(before) != accuracy(after)
        moved = f"moved the accuracy from {accuracy(before)} to" if far else "left the accuracy at"
        text += f" and {moved} {accuracy(after)}"
    return text


def _losses(probe: Probe) -> tuple[float, float] | None:
    off, on = finite(probe.off.loss), finite(probe.on.loss)
    return None if off is None or on is None else (off, on)


def _masks(recording: Recording) -> str:
    """Compare the share dropped with p: one mask in full, several by how many are as expected."""
    captures = recording.all(Capture)
    chosen = next((item for item in captures if item.purpose == "training"), None)
    chosen = chosen or next(iter(captures), None)
    if chosen is None:
        return ""
    masks = [op.mask for op in recording.all(Op) if op.capture == chosen.id and op.mask]
    masks = [mask for mask in masks if 0 < mask.p < 1 and mask.total]
    if not masks:
        return ""
    batch = "the first training batch" if chosen.purpose == "training" else "this forward"
    return _one(masks[0], batch) if len(masks) == 1 else _many(masks, batch)


def _one(mask: Mask, batch: str) -> str:
    dropped = mask.total - mask.kept
    low, high = mask.total - mask.high, mask.total - mask.low
    inside = "inside" if low <= dropped <= high else "outside"
    rare = "" if low <= dropped <= high else f", {RARE}"
    return (
        f"the mask of {batch} dropped {whole(dropped)} of {whole(mask.total)} {mask.unit}, "
        f"{percent(dropped / mask.total)} against p = {setting(mask.p)}: {inside} "
        f"the {whole(low)} to {whole(high)} that at least 95 % of such masks drop{rare}"
    )


def _many(masks: Sequence[Mask], batch: str) -> str:
    total = sum(mask.total for mask in masks)
    dropped = total - sum(mask.kept for mask in masks)
    inside = sum(mask.low <= mask.kept <= mask.high for mask in masks)
    rates = sorted({mask.p for mask in masks})
    units = sorted({mask.unit for mask in masks})
    if len(rates) > 1 or len(units) > 1:
        out = len(masks) - inside
        others = f"; {out} outside, as at most 1 in 20 is" if out else ""
        return (
            f"{inside} of the {len(masks)} masks of {batch} kept a number inside the range that "
            f"at least 95 % of such masks keep{others}"
        )
    return (
        f"the {len(masks)} masks of {batch} dropped {percent(dropped / total)} of "
        f"{whole(total)} {units[0]} against p = {setting(rates[0])}, and {inside} of the "
        f"{len(masks)} kept a number that at least 95 % of such masks keep"
    )


def _trained(recording: Recording) -> str:
    """Quote the end of the first training: held-out against training rows, else start to end."""
    trace = next((trace for trace in traces(recording) if trace.epochs), None)
    if trace is None:
        return ""
    first, last = trace.epochs[0], trace.epochs[-1]
    epochs = trace.length
    score = last.scores.get(trace.held)
    held = finite(score.loss) if score else None
    off = finite(last.probe.off.loss) if last.probe else None
    name = trace.held.partition(" (")[0]
    if score and held is not None:
        text = f"After {epochs} the {name} loss is {loss(held)}"
        if score.accuracy is not None:
            text += f" and the {name} accuracy {accuracy(score.accuracy)}"
        if off is not None and last.probe:
            rows = plural(last.probe.off.rows, "training row")
            text += f", against a loss of {loss(off)} on {rows} at the same weights"
            if last.probe.off.accuracy is not None:
                text += f" (accuracy {accuracy(last.probe.off.accuracy)})"
        return text + "."
    start, end = (row.probe.off if row.probe else None for row in (first, last))
    if start and end and start.loss is not None and end.loss is not None and first is not last:
        text = (
            f"From the end of epoch {first.index} to the end of epoch {last.index} the loss of "
            f"the same {plural(end.rows, 'training row')} in eval mode went from "
            f"{loss(start.loss)} to {loss(end.loss)}"
        )
        return f"{text}{_accuracies(start, end)}."
    start, end = first.loop, last.loop
    if start and end and start.loss is not None and end.loss is not None and first is not last:
        text = f"From epoch {first.index} to {last.index} the loop's mean loss went from "
        return f"{text}{loss(start.loss)} to {loss(end.loss)}{_accuracies(start, end)}."
    if end and end.loss is not None:
        return f"The loop's mean loss over {epochs} is {loss(end.loss)}."
    return ""


def _accuracies(start: Score, end: Score) -> str:
    if start.accuracy is None or end.accuracy is None:
        return ""
    if accuracy(start.accuracy) == accuracy(end.accuracy):
        return f" and the accuracy stayed at {accuracy(end.accuracy)}"
    return f" and the accuracy from {accuracy(start.accuracy)} to {accuracy(end.accuracy)}"


def _forward(recording: Recording) -> str:
    capture = recording.first(Capture)
    if capture is None:
        return ""
    model = next((item for item in recording.all(Model) if item.id == capture.model), None)
    operations = sum(op.capture == capture.id for op in recording.all(Op))
    mode = "train" if capture.training else "eval"
    name = f"`{model.type}`" if model else "the model"
    held = f" with {plural(model.parameters, 'parameter')}" if model else ""
    return f"One forward of {name}{held} in {mode} mode ran {plural(operations, 'operation')}."
