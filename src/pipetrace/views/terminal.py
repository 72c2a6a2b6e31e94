"""A page in the terminal: one column, readable at 80, and without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.views import chart, drawings, lesson, stages, text
from pipetrace.views.pieces import LABEL, PARAGRAPH, TONES, Gutter, labelled, styled, trimmed

WIDEST = 120
NARROWEST = 40
ROWS = 40
BARS = 26
STATES = {"yes": ("✓", "green"), "no": ("✗", "red"), "unknown": ("?", "yellow")}
_NEAREST = {
    "+": "✓└┴┼", "x": "✗×", "*": "★", "-": "→−─━╌⏎", ".": "·…┈░▁▂", "|": "│┤▏▕", "o": "●○",
    "s": "■□", "^": "▲△", "v": "◆◇↓", "#": "█▇▓╋", '"': "“”", "'": "‘’", ">": "▸", ":": "▃▄▒",
    "=": "▅▆═", "i": "∞",
}  # fmt: skip
_ASCII = {ord(each): plain for plain, several in _NEAREST.items() for each in several}


def show(page: Page, file: IO[str] | None = None, width: int | None = None) -> None:
    """Print a page.

    Args:
        page: The page.
        file: Where to; standard output by default. A file that cannot carry every character
            (an ASCII terminal) gets the nearest one instead.
        width: Columns; the terminal's own by default, at most 120 are used.

    >>> show(Page(title="Run", subtitle="one epoch", sections=()), width=60)
    Run
    one epoch
    """
    jupyter = False if file else None
    console = Console(file=file, width=width, highlight=False, force_jupyter=jupyter)
    encoding = (console.encoding or "utf-8").lower().replace("-", "")
    if encoding.startswith("utf"):
        console.print(render(page))
        return
    with console.capture() as captured:
        console.print(render(page))
    console.file.write(_fit(captured.get(), encoding))


def render(page: Page, width: int | None = None) -> RenderableType:
    """Turn a page into something that Rich can print.

    Args:
        page: The page.
        width: Columns to use; what the console offers by default, at most 120.

    Returns:
        A renderable. Text of the page is never read as markup.
    """

    def build(room: int) -> RenderableType:
        return Group(_head(page), *_sections(page, room))

    return _Fitted(build, width)


def block(value: blocks.Block, width: int | None = None) -> RenderableType:
    """Turn one block into something that Rich can print; one that fails becomes a red panel.

    Args:
        value: The block.
        width: Columns to use; what the console offers by default, at most 120.
    """

    def build(room: int) -> RenderableType:
        try:
            return _DRAW[type(value)](value, room)
        except Exception as error:  # the rest of the page stands
            title = f"{type(value).__name__} could not be drawn"
            words = f"{type(error).__name__}: {error}"
            return _crash(blocks.Crash(title=title, text=words), room)

    return _Fitted(build, width)


def _fit(value: str, encoding: str) -> str:
    braille = dict.fromkeys(range(0x2801, 0x2900), "*")
    return value.translate(_ASCII | braille).encode(encoding, "replace").decode(encoding)


def _head(page: Page) -> RenderableType:
    lines: list[RenderableType] = [Text(text.line(page.title, LABEL), "bold")]
    for value in (page.subtitle, page.contents, page.generator):
        if value:
            lines.append(styled(value, LABEL * 2, "dim"))
    return Group(*lines)


def _sections(page: Page, room: int) -> Iterator[RenderableType]:
    for number, mode, section in lesson.in_order(page):
        if mode:
            label = f"{number}. {text.line(mode.label, LABEL)}"
            yield Text("\n").append(f"{label}\n{'═' * min(len(label), room)}", "bold")
        yield _section(section, room)


def _section(section: Section, room: int) -> RenderableType:
    title = text.line(section.title, LABEL)
    rule = Text("\n").append(f"━━ {title} ", "bold cyan")
    rule.append("━" * max(0, room - len(title) - 4), "cyan")
    drawn: list[RenderableType] = [rule]
    if section.intro:
        drawn += [styled(section.intro, style="dim")]
    before: object = None
    for value in section.blocks:
        if not isinstance(value, blocks.Text) or not isinstance(before, (blocks.Text, type(None))):
            drawn.append(Text(""))
        before = value
        drawn.append(block(value, room))
    if any(lesson.asked(value) for value in section.blocks):
        words = "`pipetrace quiz` asks these one by one and grades them; so does the HTML page."
        drawn += [Text(""), styled(words, style="dim")]
    return Group(*drawn)


def _text(value: blocks.Text, room: int) -> RenderableType:
    sign, style = TONES.get(value.tone, ("", ""))
    if not sign:
        return styled(value.text, style=style)
    body = styled(value.text, style="bold" if value.tone == "key" else "")
    return Gutter(body, Text(sign, style), Text(" " * len(sign)))


def _facts(value: blocks.Facts, room: int) -> RenderableType:
    return labelled(value.facts)


def _checks(value: blocks.Checks, room: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1), pad_edge=False)
    for check in value.checks:
        sign, style = STATES.get(check.state, STATES["unknown"])
        words = styled(check.label, LABEL * 2)
        if check.detail:
            words.append("  ").append_text(styled(check.detail, LABEL * 4, "dim"))
        grid.add_row(Text(sign, style), words)
    return grid


def _table(value: blocks.Table, room: int) -> RenderableType:
    words = [len(word) for head in value.heads for word in head.label.split()]
    tight = (max(words, default=0) + 3) * len(value.heads) > room
    drawn = Table(
        box=None if tight else box.SIMPLE_HEAD, show_edge=False, pad_edge=False,
        padding=(0, 1, 0, 0) if tight else (0, 1), header_style="bold",
    )  # fmt: skip
    for head in value.heads:
        side: Literal["left", "right"] = "right" if head.number else "left"
        drawn.add_column(styled(head.label, LABEL), justify=side, overflow="fold")
    cut = len(value.rows) - ROWS
    for index, row in enumerate(value.rows):
        if cut <= 0 or index < ROWS * 3 // 4 or index >= ROWS * 3 // 4 + cut:
            drawn.add_row(*(styled(cell, LABEL) for cell in row[: len(value.heads)]))
        elif index == ROWS * 3 // 4:
            drawn.add_row(*(Text("…", "dim") for _ in value.heads))
    parts: list[RenderableType] = []
    if value.caption:
        parts.append(styled(value.caption, style="bold"))
    parts.append(drawn)
    if cut > 0:
        parts.append(Text(f"{cut:,} of {len(value.rows):,} rows are left out here.", "dim"))
    for head in value.heads:
        if head.note:
            note = styled(head.label, LABEL).append(": ").append_text(styled(head.note))
            parts.append(Gutter(note, Text("  "), Text("    "), "dim"))
    return Group(*parts)


def _chart(value: blocks.Chart, room: int) -> RenderableType:
    return chart.plot(value, min(room, 96), 10)


def _remarks(value: blocks.Remarks, room: int) -> RenderableType:
    width = max((len(text.line(remark.where, 24)) for remark in value.remarks), default=0)
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="bold", width=min(max(width, 1), 24), no_wrap=True)
    grid.add_column(overflow="fold")
    for remark in value.remarks:
        sign, style = TONES.get(remark.tone, ("", ""))
        words = Text(sign, style).append_text(styled(remark.text))
        if remark.id:
            words.append(f"  [{text.line(remark.id, LABEL)}]", "dim")
        grid.add_row(Text(text.line(remark.where, 24) if width else "•"), words)
    return Group(styled(value.title, style="bold"), grid) if value.title else grid


def _code(value: blocks.Code, room: int) -> RenderableType:
    lines = text.visible(value.text, PARAGRAPH).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    digits = len(str(value.first + len(lines)))
    drawn: list[RenderableType] = []
    if value.path:
        drawn.append(Text(text.line(value.path, LABEL), "dim"))
    shown = _windows(value, len(lines))
    for index, line in enumerate(lines, value.first):
        if index not in shown:
            if index - 1 in shown or index == value.first:
                drawn.append(Text(" " * (digits + 1) + " ┊", "dim"))
            continue
        marked = index in value.marks
        number = f"{'▸' if marked else ' '}{index:>{digits}} │ "
        first = Text(number, "yellow" if marked else "dim")
        rest = Text(" " * (digits + 1) + " │ ", "dim")
        drawn.append(Gutter(Text(line, "bold" if marked else ""), first, rest))
    return Group(*drawn)


def _windows(value: blocks.Code, count: int) -> range | set[int]:
    """Return the lines to show: all of a short text, those around the marks of a long one."""
    every = range(value.first, value.first + count)
    around = {line for mark in value.marks for line in range(mark - 2, mark + 3)}
    return every if count <= ROWS or not around else around & set(every)


def _bars(value: blocks.Bars, room: int) -> RenderableType:
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(max_width=30, overflow="fold")
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right")
    grid.add_column()
    for bar in value.bars:
        share = bar.share if bar.share == bar.share else 0.0
        full = round(min(max(share, 0.0), 1.0) * BARS)
        drawn = Text("█" * full, "cyan").append("░" * (BARS - full), "dim")
        mark = Text(f"▸ {text.line(bar.mark, LABEL)}", "bold") if bar.mark else Text("")
        grid.add_row(styled(bar.label, LABEL), drawn, styled(bar.value, LABEL), mark)
    if not value.title:
        return grid
    return Group(styled(value.title, LABEL, "bold"), grid)


def question(value: blocks.Question, room: int) -> RenderableType:
    """Draw a question with its options and hint, and keep its key to itself.

    Args:
        value: The question.
        room: Columns to use.
    """
    level = Text(f"{text.line(value.level, 40)}  " if value.level else "", "yellow")
    parts: list[RenderableType] = [level.append_text(styled(value.text, style="bold"))]
    if value.code:
        parts.append(Padding(_code(blocks.Code(text=value.code), room), (0, 0, 0, 2)))
    for index, option in enumerate(value.options):
        name = f"  {text.letter(index)}  "
        parts.append(Gutter(styled(option.text), Text(name, "bold cyan"), Text(" " * len(name))))
    if value.hint:
        parts.append(Gutter(styled(value.hint, style="dim"), Text("  Hint: ", "dim"), Text("  ")))
    return Group(*parts)


def _tabs(value: blocks.Tabs, room: int) -> RenderableType:
    return drawings.tabs(value, room, block)


def _exam(value: blocks.Exam, room: int) -> RenderableType:
    return lesson.exam(value, room, block)


def _cards(value: blocks.Cards, room: int) -> RenderableType:
    return lesson.cards(value, room, block)


def _steps(value: blocks.Steps, room: int) -> RenderableType:
    return lesson.steps(value, room, block)


def _experiment(value: blocks.Experiment, room: int) -> RenderableType:
    return lesson.experiment(value, room, block)


def _crash(value: blocks.Crash, room: int) -> RenderableType:
    title = Text(f" ✗ {text.line(value.title, LABEL)} ", "bold red")
    body = Text(text.visible(value.text, PARAGRAPH))
    return Panel(body, title=title, title_align="left", border_style="red", width=room)


@dataclass(frozen=True)
class _Fitted:
    """Something that is built for the width it is given."""

    build: Callable[[int], RenderableType]
    width: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(NARROWEST, min(self.width or WIDEST, options.max_width, WIDEST))
        for line in console.render_lines(self.build(room), options.update(width=room), pad=False):
            yield from trimmed(line)


_DRAW: dict[type, Callable[..., RenderableType]] = {
    blocks.Text: _text,
    blocks.Facts: _facts,
    blocks.Checks: _checks,
    blocks.Table: _table,
    blocks.Chart: _chart,
    blocks.Remarks: _remarks,
    blocks.Code: _code,
    blocks.Flow: stages.flow,
    blocks.Bars: _bars,
    blocks.Question: question,
    blocks.Crash: _crash,
    blocks.Distributions: drawings.distributions,
    blocks.Draws: drawings.draws,
    blocks.Network: drawings.network,
    blocks.Graph: drawings.graph,
    blocks.Tabs: _tabs,
    blocks.Exam: _exam,
    blocks.Cards: _cards,
    blocks.Steps: _steps,
    blocks.Experiment: _experiment,
}

if __name__ == "__main__":
    from pipetrace.views import demo

    show(demo.page())
