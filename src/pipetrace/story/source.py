"""The source that ran, with the lines marked where the stages were made and called."""

from __future__ import annotations

from pipetrace.blocks import Code
from pipetrace.records import Failure, Model, Op, Place, SourceText
from pipetrace.story.forwards import home, short
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording


@section(id="source", title="Source", order=90)
def source(recording: Recording) -> Content | None:
    """Show each of the user's files that is in the recording."""
    texts = recording.all(SourceText)
    if not texts:
        return None
    folder = home(recording)
    marks: dict[str, set[int]] = {}
    for place in _places(recording):
        marks.setdefault(place.file, set()).add(place.line)
    blocks = tuple(
        Code(
            text=item.text,
            path=short(folder, item.path),
            marks=tuple(sorted(marks.get(item.path, ()))),
        )
        for item in texts
    )
    intro = "Marked: the lines that made a module or called an operation of the pages above."
    return Content(blocks=blocks, intro=intro)


def _places(recording: Recording) -> list[Place]:
    made = [part.made for model in recording.all(Model) for part in model.modules]
    called = [op.called for op in recording.all(Op)]
    failed = [frame for failure in recording.all(Failure) for frame in failure.frames[-1:]]
    return [place for place in (*made, *called, *failed) if place]
