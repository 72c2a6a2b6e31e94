"""The source text beside a flow: the user's files, whole or around the lines that stages name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipetrace.blocks import Code, Stage
from pipetrace.records import SourceText
from pipetrace.story.forwards import home, short
from pipetrace.tracefile import Recording

WHOLE = 400
"""Files of up to so many lines are quoted whole."""
_AROUND = 12
"""Of longer ones so many lines before and after each line that is named."""
_MOST = 1200
"""So many lines are quoted of one file at most."""


def quoted(recording: Recording, stages: Sequence[Stage]) -> tuple[Code, ...]:
    """Return the texts that the spots of stages point into, in the order of the stages.

    Args:
        recording: The run: it holds the texts.
        stages: Stages with stages inside.
    """
    folder = home(recording)
    texts = {short(folder, item.path): item.text for item in recording.all(SourceText)}
    lines: dict[str, set[int]] = {}
    for file, line in _spots(stages):
        lines.setdefault(file, set()).add(line)
    return tuple(
        code for file, marks in lines.items() if file in texts
        for code in _parts(file, texts[file], sorted(marks))
    )  # fmt: skip


def _spots(stages: Iterable[Stage]) -> Iterator[tuple[str, int]]:
    for stage in stages:
        yield from ((spot.file, spot.line) for spot in stage.spots)
        yield from _spots(stage.stages)


def _parts(file: str, text: str, marks: Sequence[int]) -> Iterator[Code]:
    """Yield a file whole, or the parts of it that are named."""
    lines = text.splitlines()
    if len(lines) <= WHOLE:
        yield Code(text=text, path=file, marks=tuple(marks))
        return
    spans: list[tuple[int, int]] = []
    for mark in marks:
        first, last = max(1, mark - _AROUND), min(len(lines), mark + _AROUND)
        if spans and first <= spans[-1][1] + 1:
            spans[-1] = spans[-1][0], last
        else:
            spans.append((first, last))
    left = _MOST
    for first, last in spans:
        last = min(last, first + left - 1)
        if last < first:
            return
        left -= last - first + 1
        yield Code(
            text="\n".join(lines[first - 1 : last]) + "\n", path=file, first=first,
            marks=tuple(mark for mark in marks if first <= mark <= last),
        )  # fmt: skip
