"""What went wrong, where in the user's own lines, and what the failing operation was given."""

from __future__ import annotations

from pipetrace.blocks import AnyBlock, Fact, Facts, Flow, Head, Table, Text
from pipetrace.records import Failure
from pipetrace.story.figures import plural
from pipetrace.story.flow import shown
from pipetrace.story.forwards import forwards, home, short
from pipetrace.story.registry import Content, section
from pipetrace.story.stages import given_shapes, stages
from pipetrace.tracefile import Recording


@section(id="failure", title="What went wrong", order=15)
def failure(recording: Recording) -> Content | None:
    """Tell the exception that ended the program."""
    told = recording.last(Failure)
    if told is None:
        return None
    text = f"{told.type}: {told.message}" if told.message else told.type
    blocks: list[AnyBlock] = [Text(text=text, tone="bad")]
    facts = []
    if told.function:
        facts.append(Fact(label="operation", value=f"`{told.function}`"))
    if told.module:
        facts.append(Fact(label="module", value=f"`{told.module}` ({told.module_type})"))
    if told.input_shapes:
        given = given_shapes(told)
        facts.append(Fact(label="was given", value=given))
    if facts:
        blocks.append(Facts(facts=tuple(facts)))
    if told.frames:
        blocks.append(_frames(recording, told))
    failed = [item for item in forwards(recording) if not item.capture.complete]
    normal = shown(recording)
    if failed and normal and failed[-1].capture.id != normal.capture.id:
        found = stages(failed[-1], told)
        words = f"The forward that failed, after {plural(failed[-1].capture.step, 'step')}:"
        blocks += [Text(text=words, tone="muted"), Flow(stages=found)]
    return Content(blocks=tuple(blocks))


def _frames(recording: Recording, told: Failure) -> Table:
    folder = home(recording)
    rows = tuple(
        (f"{short(folder, place.file)}:{place.line}", place.function, place.text.strip())
        for place in told.frames
    )
    heads = (Head(label="where"), Head(label="in"), Head(label="line"))
    return Table(heads=heads, rows=rows, caption="Your lines, the one that failed last")
