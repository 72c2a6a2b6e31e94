"""What the page must say about the recording itself: limits, gaps, an early end, its cost."""

from __future__ import annotations

from collections.abc import Iterable

from pipetrace.blocks import AnyBlock, Fact, Facts, Remark, Remarks
from pipetrace.records import (
    Capture,
    Ended,
    Epoch,
    Model,
    Notice,
    Op,
    Prediction,
    Preparation,
    Probe,
    Provenance,
    Training,
)
from pipetrace.story.endings import ending
from pipetrace.story.figures import plural, seconds
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording


@section(id="notices", title="About this recording", order=80)
def notices(recording: Recording) -> Content | None:
    """Tell what was recorded as a notice, what was not measured and why, and what it cost."""
    told = [Remark(id=notice.id, where="", text=notice.text) for notice in recording.all(Notice)]
    told += [Remark(id=gap, where="", text=text, tone="muted") for gap, text in _gaps(recording)]
    blocks: list[AnyBlock] = [Remarks(remarks=tuple(told))] if told else []
    cost = _cost(recording)
    if cost:
        blocks.append(cost)
    return Content(blocks=tuple(blocks)) if blocks else None


def _gaps(recording: Recording) -> Iterable[tuple[str, str]]:
    """Derive from the facts what is not there."""
    ended = recording.last(Ended)
    captures = recording.all(Capture)
    if not captures and not recording.all(Model):
        text = f"No forward of an nn.Module was seen; {_seen(recording)}."
        if not any("forward of an nn.Module" in note.text for note in recording.all(Notice)):
            yield "NOT101", text
    if ended is None:
        yield "NOT102", f"The recording has no end: {ending(recording)}."
    elif ended.status == "interrupted":
        after = seconds(ended.seconds)
        yield "NOT103", f"The program was interrupted after {after}: this is what ran until then."
    elif ended.status == "stopped":
        yield "NOT104", f"--steps ended the program after {seconds(ended.seconds)}, as asked."
    trained = recording.all(Training)
    traced = all(capture.purpose in ("trace", "failure") for capture in captures)
    if captures and not trained and not traced:
        yield "NOT105", "No training was seen: no backward pass with optimizer steps."
    if recording.first(Epoch) and not recording.first(Probe):
        text = "No probe on fixed training rows was made: only the loop's own numbers are known."
        yield "NOT106", text
    told = {notice.id for notice in recording.all(Notice)}
    if trained and not recording.first(Prediction) and "prediction" not in told:
        yield "NOT107", "No prediction of one sample was traced."
    ops = recording.all(Op)
    if ops and all(op.called is None for op in ops):
        yield "NOT108", "No line of code is known: the code did not come from a file."


def _seen(recording: Recording) -> str:
    ended, origin = recording.last(Ended), recording.first(Provenance)
    parts = []
    if origin:
        parts.append(f"`{origin.name}` ran")
    if ended:
        parts.append(f"for {seconds(ended.seconds)} and ended with exit code {ended.code}")
    prepared = len(recording.all(Preparation))
    if prepared:
        parts.append(f"with {plural(prepared, 'stage')} of preparation")
    return " ".join(parts) or "nothing else was recorded either"


def _cost(recording: Recording) -> Facts | None:
    ended = recording.last(Ended)
    if ended is None or not ended.costs:
        return None
    total = sum(ended.costs.values())
    parts = ", ".join(f"{name} {seconds(value)}" for name, value in ended.costs.items())
    during = f"{seconds(total)}, during and after the {seconds(ended.seconds)} that the program ran"
    fact = Fact(label="recording took", value=during, note=parts)
    return Facts(facts=(fact,))
