"""Distributions, draws, networks, graphs and tabs in the terminal: short, with real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Histogram, Picture, Strip, Tokens
from pipetrace.views import packed, text
from pipetrace.views.pieces import LABEL, TONES, Gutter, strips, styled

PANELS = 24
NAMED = 10
NODES = 16
DEEPEST = 6
LOOK = 16


def distributions(value: blocks.Distributions, room: int) -> RenderableType:
    """Draw each panel's first and last distribution on one line.

    Args:
        value: The block.
        room: Columns to use.
    """
    moments = [text.number(moment) for moment in value.moments]
    ends = (0, len(moments) - 1) if len(moments) > 1 else (0,)
    shown = value.panels[:PANELS]
    indent = max((len(text.line(panel.label, 24)) for panel in shown), default=0)
    columns = max(6, min(24, (room - indent) // len(ends) - 20))
    grid = Table.grid(padding=(0, 1), pad_edge=False)
    grid.add_column(style="dim", max_width=24, overflow="fold")
    heads = [Text("")]
    for end in ends:
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(style="cyan", width=columns, no_wrap=True)
        grid.add_column(no_wrap=True)
        heads += [
            Text("low", "dim"),
            Text(_moment(value.x_label, moments[end])),
            Text("high", "dim"),
        ]
    grid.add_row(*heads)
    for panel in shown:
        cells = [cell for end in ends for cell in _histogram(panel.histograms[end], columns)]
        grid.add_row(styled(panel.label, LABEL), *cells)
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold"), grid]
    for note in dict.fromkeys(panel.note for panel in shown if panel.note):
        parts.append(Gutter(styled(note, LABEL * 2), Text("  "), Text("  "), "dim"))
    left = len(value.panels) - len(shown)
    between = len(moments) - len(ends)
    if left or between > 0:
        words = [f"{left} more distributions" if left else "", _between(between, value.x_label)]
        said = " and ".join(word for word in words if word)
        parts.append(Text(f"In the HTML page: {said}.", "dim"))
    return Group(*parts)


def _moment(label: str, moment: str) -> str:
    return text.line(f"{label} {moment}", 24)


def _between(count: int, label: str) -> str:
    return f"the {count} between ({text.line(label, 24)})" if count > 0 else ""


def _histogram(histogram: Histogram | None, columns: int) -> tuple[str, str, str]:
    if histogram is None:
        return "", "not measured"[:columns], ""
    low, high = text.number(histogram.low), text.number(histogram.high)
    return low, packed.sparkline(histogram, columns), high


def draws(value: blocks.Draws, room: int) -> RenderableType:
    """Draw what the layer's own rate did to the values: one mask, the mean, one draw's effects.

    Args:
        value: The block.
        room: Columns to use.
    """
    rate = value.chosen
    flags = packed.kept(value, rate, 0)
    struck = tuple(not stays for stays in flags)
    count = len(value.masks[rate])
    share, scale = text.number(value.rates[rate]), text.number(value.scales[rate])
    rows = (
        Strip(label="x", values=value.values, struck=struck),
        Strip(label="y, draw 1", values=tuple(packed.passed(value, rate, 0)), struck=struck),
        Strip(label=f"mean of {count}", values=tuple(packed.means(value, rate))),
    )
    head = styled(value.title, LABEL, "bold")
    words = f"p = {share}, draw 1 of {count}: kept {sum(flags)} of {len(flags)}, each × {scale}"
    parts: list[RenderableType] = [head, Text(words), strips(rows, room)]
    for effect in value.effects:
        parts += [Text(""), _effect(effect, rate, room)]
    others = [text.number(each) for at, each in enumerate(value.rates) if at != rate]
    if others:
        said = f"Recorded at p = {', '.join(others)}, too: the HTML page shows all masks."
        parts.append(Text(said, "dim"))
    if value.note:
        parts.append(styled(value.note, style="dim"))
    return Group(*parts)


def _effect(effect: blocks.Effect, rate: int, room: int) -> RenderableType:
    drawn = effect.draws[rate][:1]
    columns = [("off", effect.off), *(("draw 1", values) for values in drawn)]
    title = styled(effect.label, LABEL)
    if effect.note:
        title.append("  ").append_text(styled(effect.note, LABEL * 2, "dim"))
    if not effect.names or len(effect.off) > NAMED:
        rows = [Strip(label=label, values=values) for label, values in columns]
        return Group(title, strips(rows, room))
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(max_width=30, overflow="fold")
    for _ in columns:
        grid.add_column(justify="right")
    grid.add_row("", *(Text(label, "dim") for label, _ in columns))
    for at, _ in enumerate(effect.off):
        name = effect.names[at] if at < len(effect.names) else str(at)
        cells = [text.number(values[at]) if at < len(values) else "" for _, values in columns]
        grid.add_row(styled(name, LABEL), *cells)
    return Group(title, grid)


def network(value: blocks.Network, room: int) -> RenderableType:
    """Draw a strip for each column of units; weights between them are counted.

    Args:
        value: The block.
        room: Columns to use.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold")]
    indent = max((len(text.line(column.label, 24)) for column in value.columns), default=0)
    for at, column in enumerate(value.columns):
        for wires in value.wires:
            if wires.target != at:
                continue
            origin = "" if wires.source == at - 1 else f" from {value.columns[wires.source].label}"
            words = f"{packed.told(value, wires)}{text.line(origin, LABEL)}"
            parts.append(Text("  ↓ ", "cyan").append(words, "dim"))
        names = ", ".join(column.names) if len(column.names) <= NAMED else ""
        strip = Strip(
            label=column.label, values=column.values, struck=column.struck,
            total=len(column.values), note=names,
        )  # fmt: skip
        parts.append(strips((strip,), room, indent))
    if value.note:
        parts.append(styled(value.note, style="dim"))
    return Group(*parts)


def graph(value: blocks.Graph, room: int) -> RenderableType:
    """Draw an indented list that names sources where they are not just the node before.

    Args:
        value: The block.
        room: Columns to use.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold")]
    rows = [row for row in packed.numbered(value) if row[1] < DEEPEST]
    for number, level, node, sources in islice(rows, NODES):
        sign, style = TONES.get(node.tone, ("", ""))
        line = Text(f"{number} ", "bold cyan").append(sign, style)
        line.append(text.line(node.name, LABEL), "bold" if node.nodes else "")
        if node.words:
            line.append("  ").append_text(styled(node.words, LABEL, "dim"))
        if node.shape:
            line.append("  ").append(text.line(node.shape, LABEL), "cyan")
        if sources:
            names = ", ".join(text.line(source, 40) for source in sources[:NAMED])
            more = f" and {len(sources) - NAMED} more" if len(sources) > NAMED else ""
            line.append("  ").append(f"from {names}{more}", "yellow")
        indent = Text("  " * level)
        parts.append(Gutter(line, indent, Text("  " * (level + 1))))
    left = sum(1 for _ in packed.numbered(value)) - min(len(rows), NODES)
    if left:
        parts.append(Text(f"… {left:,} more nodes: the HTML page has them all", "dim"))
    if value.note:
        parts.append(styled(value.note, style="dim"))
    return Group(*parts)


def tabs(
    value: blocks.Tabs, room: int, block: Callable[[blocks.AnyBlock, int], RenderableType]
) -> RenderableType:
    """Draw the tabs under each other; the flows of all but the first are counted.

    Args:
        value: The block.
        room: Columns to use.
        block: Draws what stands in a tab.
    """
    parts: list[RenderableType] = [styled(value.title, LABEL, "bold")] if value.title else []
    for at, tab in enumerate(value.tabs):
        sign, style = TONES.get(tab.tone, ("", ""))
        head = Text("── ", "cyan").append(sign, style).append(text.line(tab.label, LABEL), "bold")
        if tab.note:
            head.append("  ").append_text(styled(tab.note, LABEL * 2, "dim"))
        parts += [Text(""), head] if parts else [head]
        for inner in tab.blocks:
            if at and isinstance(inner, blocks.Flow):
                words = f"its {len(inner.stages)} stages are in the HTML page"
                parts.append(Text(words, "dim"))
            else:
                parts.append(block(inner, room))
    return Group(*parts)


def look(pictures: Sequence[Picture], tokens: Sequence[Tokens]) -> list[RenderableType]:
    """Draw what a sample looks like: pictures in shades, tokens in a row.

    Args:
        pictures: Images of the sample.
        tokens: Its token ids.
    """
    parts: list[RenderableType] = []
    for picture in pictures:
        words = styled(picture.label, LABEL, "dim").append(f"  {packed.depth(picture)}", "dim")
        if picture.note:
            words.append("  ").append_text(styled(picture.note, LABEL, "dim"))
        rows = [f"▏{row}▕" for row in packed.shades(picture, LOOK)]
        parts += [words, Text("\n".join(rows))]
    for row in tokens:
        shown = packed.pieces(row)[:LOOK]
        line = styled(row.label, LABEL, "dim").append("  ").append(", ".join(shown), "")
        total = max(row.total, len(row.ids))
        if total > len(shown):
            line.append(f"  … of {total:,}", "dim")
        if row.note:
            line.append("  ").append_text(styled(row.note, LABEL, "dim"))
        parts.append(line)
    return parts
