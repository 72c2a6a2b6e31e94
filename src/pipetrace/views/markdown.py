"""A page as Markdown, with the key to its questions at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pipetrace import blocks
from pipetrace.blocks import Page, Stage
from pipetrace.views import lesson, packed, text

SIGNS = {"key": "**Key point:** ", "good": "✓ ", "warning": "**!** ", "bad": "✗ "}
STATES = {"yes": "✓", "no": "✗", "unknown": "?"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~&$])")


def render(page: Page) -> str:
    r"""Write a page as Markdown (CommonMark with pipe tables).

    Args:
        page: The page.

    Returns:
        Markdown that ends with a newline. Text of the page is escaped; code between backticks
        stays code.

    >>> print(render(Page(title="Run *1*", subtitle="one epoch", sections=())), end="")
    # Run \*1\*
    <BLANKLINE>
    one epoch
    """
    parts = [f"# {escaped(page.title)}"]
    parts += [escaped(value) for value in (page.subtitle, page.contents) if value]
    questions: list[blocks.Question] = []
    for number, mode, section in lesson.in_order(page):
        if mode:
            parts.append(f"# {number}\\. {escaped(mode.label)}")
        parts.append(f"## {escaped(section.title)}")
        if section.intro:
            parts.append(escaped(section.intro))
        for value in section.blocks:
            parts.append(block(value, len(questions) + 1))
            questions += lesson.asked(value)
    if questions:
        parts.append("## Answers")
        parts += [_key(value, number) for number, value in enumerate(questions, 1)]
    if page.generator:
        parts.append(f"---\n\n{escaped(page.generator)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def block(value: blocks.Block, number: int = 1) -> str:
    """Write one block; one that fails says so in its place.

    Args:
        value: The block.
        number: The number a question gets.
    """
    try:
        if isinstance(value, blocks.Question):
            return _question(value, number)
        if isinstance(value, blocks.Exam):
            return _exam(value, number)
        return _WRITE[type(value)](value)
    except Exception as error:  # the rest of the page stands
        words = f"{type(value).__name__} could not be written: {type(error).__name__}: {error}"
        return f"> ✗ {escaped(words)}"


def escaped(value: str) -> str:
    r"""Show a text on one line, so that Markdown takes it for words.

    >>> escaped("1. <b>bold</b> | `a|b`")
    '1\\. \\<b\\>bold\\</b\\> \\| `a|b`'
    """
    pieces = []
    for piece, code in text.spans(" ".join(text.visible(value).split())):
        pieces.append(f"`{piece}`" if code else _SPECIAL.sub(r"\\\1", piece))
    line = "".join(pieces)
    line = re.sub(r"^([-=])", r"\\\1", line)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", line)


def fenced(value: str, language: str = "") -> str:
    r"""Write a text as a code block whose fence it cannot close.

    >>> fenced("a = 1\n")
    '```\na = 1\n```'
    """
    shown = text.visible(value).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def _cell(value: str) -> str:
    """Escape a table's cell: a pipe inside code would end it too."""
    return re.sub(r"(?<!\\)\|", r"\\|", escaped(value))


def _span(value: str) -> str:
    """Write a short text as code."""
    shown = text.line(value)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}" if longest else f"`{shown}`" if shown else ""


def _rows(heads: Sequence[blocks.Head], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        [_cell(head.label) for head in heads],
        ["---:" if head.number else "---" for head in heads],
        *([_cell(cell) for cell in row[: len(heads)]] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: blocks.Text) -> str:
    return SIGNS.get(value.tone, "") + escaped(value.text)


def _listed(facts: Iterable[blocks.Fact]) -> str:
    lines = []
    for fact in facts:
        note = f" ({escaped(fact.note)})" if fact.note else ""
        lines.append(f"- {escaped(fact.label)}: **{escaped(fact.value)}**{note}")
    return "\n".join(lines)


def _facts(value: blocks.Facts) -> str:
    return _listed(value.facts)


def _checks(value: blocks.Checks) -> str:
    lines = []
    for check in value.checks:
        detail = f" ({escaped(check.detail)})" if check.detail else ""
        lines.append(f"- {STATES.get(check.state, '?')} {escaped(check.label)}{detail}")
    return "\n".join(lines)


def _table(value: blocks.Table) -> str:
    parts = [f"**{escaped(value.caption)}**"] if value.caption else []
    parts.append(_rows(value.heads, value.rows))
    notes = [f"- {escaped(head.label)}: {escaped(head.note)}" for head in value.heads if head.note]
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def _chart(value: blocks.Chart) -> str:
    heads = [blocks.Head(label=value.x_label, number=True)]
    heads += [blocks.Head(label=line.label, number=True) for line in value.lines]
    rows = [
        [
            text.number(x),
            *(
                text.number(line.values[index] if index < len(line.values) else None)
                for line in value.lines
            ),
        ]
        for index, x in enumerate(value.x)
    ]
    parts = [f"**{escaped(value.title)}** ({escaped(value.y_label)})", _rows(heads, rows)]
    if value.pins:
        parts.append("\n".join(_pin(value, pin) for pin in value.pins))
    return "\n\n".join(parts)


def _pin(value: blocks.Chart, pin: blocks.Pin) -> str:
    place = f"{value.x_label} {text.number(pin.x)}"
    rule = f" ({_span(pin.id)})" if pin.id else ""
    return f"- **{escaped(place)}**: {SIGNS.get(pin.tone, '')}{escaped(pin.text)}{rule}"


def _remarks(value: blocks.Remarks) -> str:
    lines = [f"**{escaped(value.title)}**", ""] if value.title else []
    for remark in value.remarks:
        sign = SIGNS.get(remark.tone, "")
        place = f"**{escaped(remark.where)}**: " if remark.where else ""
        rule = f" ({_span(remark.id)})" if remark.id else ""
        lines.append(f"- {place}{sign}{escaped(remark.text)}{rule}")
    return "\n".join(lines)


def _code(value: blocks.Code) -> str:
    marks = ", ".join(str(mark) for mark in value.marks)
    place = escaped(value.path) + (f", from line {value.first}" if value.first != 1 else "")
    if marks:
        place += f" (see line {marks})"
    return (f"{place.strip()}\n\n" if place.strip() else "") + fenced(value.text, "python")


def _flow(value: blocks.Flow, level: int = 3) -> str:
    parts: list[str] = []
    _stages(value.stages, "", parts, level)
    return "\n\n".join(parts)


def _stages(stages: Sequence[Stage], prefix: str, parts: list[str], level: int) -> None:
    marks = "#" * min(6, level)
    for index, stage in enumerate(stages, 1):
        mode = f" ({escaped(stage.mode)})" if stage.mode else ""
        sign = SIGNS.get(stage.tone, "")
        again = ", the same again" if stage.alike else ""
        parts.append(f"{marks} {prefix}{index} {sign}{escaped(stage.name)}{mode}{again}")
        if stage.alike:
            continue
        if stage.shape:
            parts.append(_span(stage.shape))
        if stage.words:
            parts.append(escaped(stage.words))
        parts += _look(stage)
        parts += [_strip(strip) for strip in stage.strips]
        if stage.facts:
            parts.append(_listed(stage.facts))
        for spot in stage.spots:
            code = f": {_span(spot.text.strip())}" if spot.text.strip() else ""
            parts.append(f"{_span(f'{spot.file}:{spot.line}')}{code}")
        _stages(stage.stages, f"{prefix}{index}.", parts, level + 1)


def _look(stage: Stage) -> list[str]:
    """Write what a sample looks like: a picture is told, tokens are listed."""
    parts = []
    for picture in stage.pictures:
        note = f" ({escaped(picture.note)})" if picture.note else ""
        parts.append(f"{escaped(picture.label)}: {packed.depth(picture)}{note}")
    for tokens in stage.tokens:
        cells = ", ".join(escaped(piece) for piece in packed.pieces(tokens))
        more = f" … {len(tokens.ids)} of {tokens.total}" if tokens.total > len(tokens.ids) else ""
        note = f" ({escaped(tokens.note)})" if tokens.note else ""
        parts.append(f"{escaped(tokens.label)}: {cells}{more}{note}")
    return parts


def _distributions(value: blocks.Distributions) -> str:
    heads = [
        blocks.Head(label="distribution"), blocks.Head(label=value.x_label, number=True),
        blocks.Head(label="lowest", number=True), blocks.Head(label="counts"),
        blocks.Head(label="highest", number=True),
    ]  # fmt: skip
    rows = []
    for panel in value.panels:
        for at in dict.fromkeys((0, len(value.moments) - 1)):
            row = [panel.label, text.number(value.moments[at])]
            histogram = panel.histograms[at]
            if histogram is None:
                rows.append([*row, "", "not measured", ""])
                continue
            line = packed.sparkline(histogram, len(histogram.counts)).replace(" ", "·")
            low, high = text.number(histogram.low), text.number(histogram.high)
            rows.append([*row, low, line, high])
    parts = [f"**{escaped(value.title)}**", _rows(heads, rows)]
    notes = {panel.label: panel.note for panel in value.panels if panel.note}
    parts.append("\n".join(f"- {escaped(key)}: {escaped(note)}" for key, note in notes.items()))
    return "\n\n".join(part for part in parts if part)


def _draws(value: blocks.Draws) -> str:
    rate = value.chosen
    flags = packed.kept(value, rate, 0)
    struck = tuple(not stays for stays in flags)
    count = len(value.masks[rate])
    p, scale = text.number(value.rates[rate]), text.number(value.scales[rate])
    words = f"p = {p}, draw 1 of {count}: kept {sum(flags)} of {len(flags)}, each × {scale}"
    strips = (
        blocks.Strip(label="x", values=value.values, struck=struck),
        blocks.Strip(label="y, draw 1", values=tuple(packed.passed(value, rate, 0)), struck=struck),
        blocks.Strip(label=f"mean of {count}", values=tuple(packed.means(value, rate))),
    )
    parts = [f"**{escaped(value.title)}**", escaped(words), *(_strip(strip) for strip in strips)]
    for effect in value.effects:
        drawn = effect.draws[rate][:1]
        columns = [effect.off, *drawn]
        heads = [blocks.Head(label=effect.label), blocks.Head(label="off", number=True)]
        heads += [blocks.Head(label="draw 1", number=True) for _ in drawn]
        rows = [
            [effect.names[at] if at < len(effect.names) else str(at),
             *(text.number(each[at]) if at < len(each) else "" for each in columns)]
            for at in range(len(effect.off))
        ]  # fmt: skip
        parts += [_rows(heads, rows), escaped(effect.note)]
    parts.append(escaped(value.note))
    return "\n\n".join(part for part in parts if part)


def _network(value: blocks.Network) -> str:
    parts = [f"**{escaped(value.title)}**"]
    for at, column in enumerate(value.columns):
        for wires in value.wires:
            if wires.target == at:
                origin = escaped(value.columns[wires.source].label)
                parts.append(f"↓ from {origin}: {escaped(packed.told(value, wires))}")
        strip = blocks.Strip(label=column.label, values=column.values, struck=column.struck)
        names = ", ".join(escaped(name) for name in column.names)
        parts.append(_strip(strip) + (f" ({names})" if names else ""))
    parts.append(escaped(value.note))
    return "\n\n".join(part for part in parts if part)


def _graph(value: blocks.Graph) -> str:
    lines = []
    for number, level, node, sources in packed.numbered(value):
        shape = f" ({escaped(node.shape)})" if node.shape else ""
        words = f" {escaped(node.words)}" if node.words else ""
        origin = f", from {escaped(', '.join(sources))}" if sources else ""
        sign = SIGNS.get(node.tone, "")
        name = f"{number} {sign}{escaped(node.name)}"
        lines.append(f"{'  ' * level}- {name}{words}{shape}{origin}")
    parts = [f"**{escaped(value.title)}**", "\n".join(lines), escaped(value.note)]
    return "\n\n".join(part for part in parts if part)


def _tabs(value: blocks.Tabs) -> str:
    parts = [f"**{escaped(value.title)}**"] if value.title else []
    for tab in value.tabs:
        note = f" ({escaped(tab.note)})" if tab.note else ""
        parts.append(f"### {SIGNS.get(tab.tone, '')}{escaped(tab.label)}{note}")
        for inner in tab.blocks:
            parts.append(_flow(inner, 4) if isinstance(inner, blocks.Flow) else block(inner))
    return "\n\n".join(parts)


def _exam(value: blocks.Exam, number: int) -> str:
    parts = [f"**{escaped(value.title)}**", escaped(lesson.rules(value))]
    parts += [_question(each, number + at) for at, each in enumerate(lesson.asked(value))]
    return "\n\n".join(parts)


def _cards(value: blocks.Cards) -> str:
    parts = [f"**{escaped(value.title)}**"]
    for card in value.cards:
        parts.append(f"- **{escaped(card.front)}**\n  {escaped(card.back)}")
        if card.code:
            parts += [fenced(card.code, "python"), f"It gives {_span(card.outcome)}"]
    return "\n\n".join(parts)


def _steps(value: blocks.Steps) -> str:
    parts = [f"**{escaped(value.title)}**", *(block(each) for each in value.blocks)]
    for number, step in enumerate(value.steps, 1):
        parts.append(f"**{number}.** {escaped(step.label)}")
        parts += [block(each) for each in step.blocks]
    return "\n\n".join(parts)


def _experiment(value: blocks.Experiment) -> str:
    target = f"Target: {escaped(value.target)}"
    return "\n\n".join((f"**{escaped(value.title)}**", target, _table(lesson.attempts(value))))


def _strip(value: blocks.Strip) -> str:
    struck = value.struck + (False,) * (len(value.values) - len(value.struck))
    cells = [
        f"~~{text.number(each)}~~" if gone else text.number(each)
        for each, gone in zip(value.values, struck, strict=False)
    ]
    more = f" … {len(cells)} of {value.total}" if value.total > len(cells) else ""
    note = f" ({escaped(value.note)})" if value.note else ""
    dropped = " (~~struck out~~: dropped)" if any(value.struck) else ""
    return f"{escaped(value.label)}: {', '.join(cells)}{more}{note}{dropped}"


def _bars(value: blocks.Bars) -> str:
    heads = [blocks.Head(label="name"), blocks.Head(label="value", number=True)]
    rows = [[bar.label, bar.value + (f" ({bar.mark})" if bar.mark else "")] for bar in value.bars]
    title = f"**{escaped(value.title)}**\n\n" if value.title else ""
    return title + _rows(heads, rows)


def _question(value: blocks.Question, number: int) -> str:
    level = f" ({escaped(value.level)})" if value.level else ""
    parts = [f"**Question {number}**{level}: {escaped(value.text)}"]
    if value.code:
        parts.append(fenced(value.code, "python"))
    options = [
        f"- **{text.letter(index)}** {escaped(option.text)}"
        for index, option in enumerate(value.options)
    ]
    parts.append("\n".join(options))
    if value.hint:
        parts.append(f"Hint: {escaped(value.hint)}")
    return "\n\n".join(parts)


def _key(value: blocks.Question, number: int) -> str:
    right = [text.letter(index) for index, option in enumerate(value.options) if option.correct]
    lines = [f"**{number}.** {' or '.join(right) or 'no option is right'}"]
    lines += [
        f"- **{text.letter(index)}** {'✓' if option.correct else '✗'} {escaped(option.feedback)}"
        for index, option in enumerate(value.options)
    ]
    lines += [f"- Step {index}: {escaped(step)}" for index, step in enumerate(value.steps, 1)]
    if value.answer:
        lines.append(f"- Final answer: {escaped(value.answer)}")
    if value.check:
        lines.append(f"- Quick check: {escaped(value.check)}")
    lines += [f"- Common mistake: {escaped(mistake)}" for mistake in value.mistakes]
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def _crash(value: blocks.Crash) -> str:
    return f"> ✗ **{escaped(value.title)}**\n\n{fenced(value.text)}"


_WRITE: dict[type, Callable[..., str]] = {
    blocks.Text: _text,
    blocks.Facts: _facts,
    blocks.Checks: _checks,
    blocks.Table: _table,
    blocks.Chart: _chart,
    blocks.Remarks: _remarks,
    blocks.Code: _code,
    blocks.Flow: _flow,
    blocks.Bars: _bars,
    blocks.Crash: _crash,
    blocks.Distributions: _distributions,
    blocks.Draws: _draws,
    blocks.Network: _network,
    blocks.Graph: _graph,
    blocks.Tabs: _tabs,
    blocks.Cards: _cards,
    blocks.Steps: _steps,
    blocks.Experiment: _experiment,
}
