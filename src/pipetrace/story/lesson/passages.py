"""What an author wrote becomes blocks, with the facts of the run filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipetrace.blocks import AnyBlock, Code, Head, Remark, Remarks, Table, Text
from pipetrace.lessons.answering import outcome_text
from pipetrace.lessons.content import Bullets, Demo, Grid, Include, Paragraph, Passage, filled
from pipetrace.lessons.taught import Taught
from pipetrace.story.lesson import studies


def blocks(taught: Taught, passage: Passage, facts: Mapping[str, str]) -> list[AnyBlock]:
    """Return the blocks of a passage; what names a fact that this run lacks is left out.

    Args:
        taught: The lesson.
        passage: What its author wrote under one title.
        facts: What is known, by name.
    """
    made: list[AnyBlock] = []
    for part in passage.parts:
        match part:
            case Paragraph():
                made += _paragraph(part, facts)
            case Bullets():
                items = [filled(item, facts) for item in part.items]
                remarks = tuple(Remark(id="", where="", text=text) for text in items if text)
                made += [Remarks(remarks=remarks)] if remarks else []
            case Grid():
                made += _grid(part, facts)
            case Demo():
                made += _demo(taught, part, facts)
            case Include(kind="study"):
                made += studies.comparison(taught, part.name)
            case Include():
                pass
    return made


def _paragraph(part: Paragraph, facts: Mapping[str, str]) -> Iterator[AnyBlock]:
    text = filled(part.text, facts)
    if text is not None and (part.condition is None or part.condition.holds(facts)):
        yield Text(text=text, tone="key" if part.key else "plain")


def _grid(part: Grid, facts: Mapping[str, str]) -> Iterator[AnyBlock]:
    rows = [tuple(filled(cell, facts) for cell in row) for row in part.rows]
    told = [tuple(cell or "" for cell in row) for row in rows if None not in row]
    if told:
        yield Table(heads=tuple(Head(label=label) for label in part.heads), rows=tuple(told))


def _demo(taught: Taught, part: Demo, facts: Mapping[str, str]) -> Iterator[AnyBlock]:
    outcome = taught.demos.get(part.id)
    if part.hidden or outcome is None or (part.needs and part.needs not in facts):
        return
    yield Code(text=part.code)
    said = outcome_text(outcome)
    if said and said != "None":
        yield Text(text=f"Executed: it gives {said}.", tone="muted")
    elif outcome.printed:
        yield Code(text=outcome.printed.rstrip())
