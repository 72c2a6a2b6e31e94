"""What teaches, as lines: tests, cards, steps and experiments for those who only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Mode, Page, Section
from pipetrace.views.pieces import LABEL, styled

MOST = 200
"""The most characters of an attempt's text."""

Draw = Callable[[blocks.AnyBlock, int], RenderableType]


def in_order(page: Page) -> Iterator[tuple[int, Mode | None, Section]]:
    """Put sections of one mode together; those of all modes, or of none, come first.

    Returns:
        Each section; with the first of a mode come the mode and its number, from 1.

    >>> page = Page(title="", subtitle="", modes=(Mode(id="why", label="Why"),), sections=(
    ...     Section(id="a", title="A", blocks=(), mode="why"),
    ...     Section(id="b", title="B", blocks=()),
    ... ))
    >>> [(number, section.id) for number, mode, section in in_order(page)]
    [(0, 'b'), (1, 'a')]
    """
    known = {mode.id for mode in page.modes}
    yield from ((0, None, each) for each in page.sections if each.mode not in known)
    for number, mode in enumerate(page.modes, 1):
        own = [section for section in page.sections if section.mode == mode.id]
        yield from ((number, None if at else mode, each) for at, each in enumerate(own))


def asked(value: blocks.Block) -> tuple[blocks.Question, ...]:
    """Return the questions that a block shows: of a test those of its first form.

    >>> asked(blocks.Text(text="no question"))
    ()
    """
    if isinstance(value, blocks.Exam):
        return tuple(value.questions[at] for form in value.forms[:1] for at in form)
    return (value,) if isinstance(value, blocks.Question) else ()


def rules(value: blocks.Exam) -> str:
    """Say what a test asks and what its verdicts mean.

    >>> rules(blocks.Exam(id="t", title="T", questions=(), forms=((), ()), intervals=()))
    'One of 2 forms. Strong: 8 right, 2 of them hard ones; growing: 6 right; else not yet.'
    """
    hard = f", {value.hard} of them hard ones" if value.hard else ""
    return (
        f"One of {len(value.forms)} forms. Strong: {value.strong} right{hard}; "
        f"growing: {value.growing} right; else not yet."
    )


def attempts(value: blocks.Experiment) -> blocks.Table:
    """Put every attempt of an experiment into a row: its settings and its first sentence.

    >>> knob = blocks.Knob(id="p", label="p", values=("0", "0.5"))
    >>> tried = blocks.Attempt(choices=(1,), blocks=(blocks.Text(text="0.2"),), reached=True)
    >>> attempts(blocks.Experiment(title="", target="", knobs=(knob,), attempts=(tried,))).rows
    (('0.5', '0.2', 'reached'),)
    """
    rows = []
    for attempt in value.attempts:
        said = next((each.text for each in attempt.blocks if isinstance(each, blocks.Text)), "")
        settings = (knob.values[at] for knob, at in zip(value.knobs, attempt.choices, strict=True))
        rows.append((*settings, said[:MOST], "reached" if attempt.reached else ""))
    heads = tuple(blocks.Head(label=knob.label, note=knob.note) for knob in value.knobs)
    last = (blocks.Head(label="what came out"), blocks.Head(label="target"))
    return blocks.Table(heads=(*heads, *last), rows=tuple(rows))


def exam(value: blocks.Exam, room: int, draw: Draw) -> RenderableType:
    """Draw the questions of a test's first form.

    Args:
        value: The block.
        room: Columns to use.
        draw: Draws a block inside of it.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold"), styled(rules(value))]
    for question in asked(value):
        parts += [Text(""), draw(question, room)]
    return Group(*parts)


def cards(value: blocks.Cards, room: int, draw: Draw) -> RenderableType:
    """Draw fronts and backs under each other.

    Args:
        value: The block.
        room: Columns to use.
        draw: Draws a block inside of it.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold")]
    for card in value.cards:
        back: list[RenderableType] = [styled(card.back)]
        if card.code:
            code = draw(blocks.Code(text=card.code), room - 2)
            back += [code, Text("It gives ").append_text(styled(card.outcome)).append(".")]
        parts += [styled(card.front, style="cyan"), Padding(Group(*back), (0, 0, 0, 2))]
    return Group(*parts)


def steps(value: blocks.Steps, room: int, draw: Draw) -> RenderableType:
    """Draw every step, as if it had been asked for.

    Args:
        value: The block.
        room: Columns to use.
        draw: Draws a block inside of it.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold")] if value.title else []
    parts += [draw(each, room) for each in value.blocks]
    for number, step in enumerate(value.steps, 1):
        parts += [Text(""), Text(f"{number}. ", "cyan").append_text(styled(step.label, LABEL))]
        parts += [draw(each, room) for each in step.blocks]
    return Group(*parts)


def experiment(value: blocks.Experiment, room: int, draw: Draw) -> RenderableType:
    """Draw an experiment's target and the table of its attempts.

    Args:
        value: The block.
        room: Columns to use.
        draw: Draws a block inside of it.
    """
    target = Text("Target: ", "bold").append_text(styled(value.target))
    table = draw(attempts(value), room)
    return Group(styled(value.title, LABEL, "bold"), target, Text(""), table)
