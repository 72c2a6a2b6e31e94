"""What drawings in the terminal are made of: styled text, labelled rows, marks in a gutter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Strip
from pipetrace.views import text

LABEL = 200
PARAGRAPH = 4000
TONES = {
    "plain": ("", ""),
    "key": ("★ ", "bold"),
    "muted": ("", "dim"),
    "good": ("✓ ", "green"),
    "warning": ("! ", "yellow"),
    "bad": ("✗ ", "red"),
}


def styled(value: str, limit: int = PARAGRAPH, style: str = "") -> Text:
    """Turn text of a page into Rich's, with code between backticks set apart.

    Args:
        value: Any text; hidden characters are shown as escapes.
        limit: The most characters to keep.
        style: A Rich style for all of it.
    """
    drawn = Text(style=style)
    for piece, code in text.spans(text.visible(value, limit)):
        drawn.append(f"`{piece}`" if code else piece, "cyan" if code else "")
    return drawn


def labelled(facts: Iterable[blocks.Fact]) -> Table:
    """Put facts under each other, values in one column.

    Args:
        facts: What to show.
    """
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="dim", max_width=28)
    grid.add_column(overflow="fold")
    for fact in facts:
        words = styled(fact.value, LABEL * 4)
        if fact.note:
            words.append("  ").append_text(styled(fact.note, LABEL * 4, "dim"))
        grid.add_row(styled(fact.label, LABEL), words)
    return grid


def strips(rows: Sequence[Strip], room: int, indent: int = 0) -> RenderableType:
    """Put strips under each other with equal columns; what does not fit is counted.

    Args:
        rows: The strips, at least one.
        room: Columns to use.
        indent: Columns that the labels take at least.
    """
    labels = [text.line(strip.label, 24) for strip in rows]
    indent = max(indent, *(len(label) for label in labels))
    cells = [[_cell(strip, index) for index in range(len(strip.values))] for strip in rows]
    widest = max((len(cell) for row in cells for cell, _ in row), default=1)
    fit = max(1, (room - indent - 14) // (widest + 1))
    drawn = Text()
    for strip, label, row in zip(rows, labels, cells, strict=True):
        if drawn:
            drawn.append("\n")
        drawn.append(f"{label:<{indent}} ", "dim")
        for cell, struck in row[:fit]:
            drawn.append(" " * (widest - len(cell) + 1))
            drawn.append(cell, "dim strike" if struck else "")
        total = max(strip.total, len(strip.values))
        if total > min(fit, len(row)):
            drawn.append(f"  … of {total:,}", "dim")
        if strip.note:
            drawn.append("\n").append(" " * (indent + 2)).append_text(
                styled(strip.note, 400, "dim")
            )
    if any(any(strip.struck) for strip in rows):
        drawn.append("\n").append(" " * (indent + 2)).append("·x· was dropped", "dim")
    return drawn


def _cell(strip: Strip, index: int) -> tuple[str, bool]:
    shown = text.number(strip.values[index])
    struck = index < len(strip.struck) and strip.struck[index]
    return (f"·{shown}·" if struck else f"{shown} " if any(strip.struck) else shown), struck


@dataclass(frozen=True)
class Gutter:
    """Something with a mark before its first line and another before the rest."""

    body: RenderableType
    first: Text
    rest: Text
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, options.max_width - max(self.first.cell_len, self.rest.cell_len))
        style = Style.parse(self.style)
        inner = options.update(width=width)
        drawn = console.render_lines(self.body, inner, style=style, pad=False)
        for index, line in enumerate(drawn):
            before = list((self.rest if index else self.first).render(console))
            yield from trimmed([*before, *line])


def trimmed(line: Sequence[Segment]) -> Iterable[Segment]:
    """Drop the spaces at a line's end, so that a copied page has none.

    Args:
        line: One line as Rich renders it.
    """
    kept = list(line)
    while kept and not kept[-1].control and not kept[-1].text.strip(" "):
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(" "), kept[-1].style, kept[-1].control)
    return [*kept, Segment.line()]
