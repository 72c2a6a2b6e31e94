"""A line chart in braille: every point drawn was measured, and every gap stays a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from pipetrace.blocks import Chart, Line, Pin
from pipetrace.views import text

MARKERS = "●■▲◆○□△◇"
PIN = "╋"
PINS = 8
STYLES = ("cyan", "magenta", "yellow", "green", "blue", "red")
LARGEST = 1e300
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_PATTERNS = {"solid": (1, 0), "dashed": (4, 3), "dotted": (1, 2)}


def ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Choose round numbers inside [low, high], about `count` of them.

    Args:
        low: The smallest value shown.
        high: The largest value shown.
        count: How many ticks are wanted, at least 2.
        whole: Whether only whole numbers make sense (epochs).

    Returns:
        Ascending multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 1.0, 6)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(1, 5, 9, whole=True)
    [1, 2, 3, 4, 5]
    """
    if not high > low:
        return [low]
    rough = (high - low) / max(count - 1, 1)
    power = math.floor(math.log10(rough))
    step = next(s for s in (1, 2, 5, 10) if s * 10.0**power >= rough * 0.999) * 10.0**power
    if whole:
        step = max(1, round(step))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    marks = [round(index * step, max(0, 1 - power)) for index in range(first, last + 1)]
    return sorted(set(marks)) or [low]


def names(marks: Sequence[float]) -> list[str]:
    """Write ticks with four digits, or with more where two would read the same.

    >>> names([0.5, 1.0]), names([1000.01, 1000.02])
    (['0.5', '1'], ['1000.01', '1000.02'])
    """
    short = [text.number(mark) for mark in marks]
    return short if len(set(short)) == len(short) else [f"{mark:.12g}" for mark in marks]


def extent(values: Sequence[float]) -> tuple[float, float]:
    """Give the range that shows all values; a constant gets room on both sides.

    >>> extent([2.0, 2.0]), extent([]), extent([0.0, 10.0])
    ((1.0, 3.0), (0.0, 1.0), (0.0, 10.0))
    """
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.5 or 1.0
        return low - room, high + room
    return low, high


def plot(chart: Chart, width: int, height: int = 10) -> Text:
    """Draw a chart with its title, axes and legend.

    Args:
        chart: The curves. NaN and None are gaps; an infinity is a ∞ at the edge.
        width: Columns to use, axes included; at least 24 are taken.
        height: Rows of the plot itself.

    Returns:
        The drawing, one line of text per row, without a trailing newline.

    >>> line = Line(label="loss", values=(3.0, 2.0, 1.0))
    >>> drawn = Chart(title="Loss", x_label="epoch", y_label="loss", x=(1, 2, 3), lines=(line,))
    >>> print(plot(drawn, 24, 3).plain)
    Loss
    loss
    3 ┤●⠒⠢⠤⢄⣀
    2 ┤      ⠉⠉⠒⠢●⢄⣀⡀
    1 ┤             ⠈⠉⠑⠒⠢⠤⢄●
      └┴─────────┴─────────┴
       1         2         3
                       epoch
    ●── loss  3 → 1
    """
    drawn = Text(no_wrap=True)
    drawn.append(text.line(chart.title, 200), "bold")
    finite = [value for line in chart.lines for _, value in _points(chart, line, finite=True)]
    if not finite:
        return drawn.append("\nnothing to draw: no finite value was measured", "dim")
    frame = _frame(chart, finite, max(width, 24), height)
    drawn.append("\n").append_text(_axes(chart, frame)).append_text(_legend(chart))
    return drawn.append_text(_pinned(_pins(chart, frame)))


def _points(chart: Chart, line: Line, finite: bool) -> list[tuple[float, float]]:
    """Pair x with y where both can be placed; infinities stay unless `finite`."""
    pairs = zip(chart.x, line.values, strict=False)
    return [
        (x, y)
        for x, y in pairs
        if y is not None and y == y and math.isfinite(x) and not (finite and abs(y) > LARGEST)
    ]


def _frame(chart: Chart, finite: list[float], width: int, height: int) -> _Frame:
    low, high = extent(finite)
    marks = ticks(low, high, max(3, min(6, (height + 1) // 2)))
    step = marks[1] - marks[0] if len(marks) > 1 else 0.0
    if step and low < marks[0] - step * 1e-9:
        marks.insert(0, marks[0] - step)
    if step and high > marks[-1] + step * 1e-9:
        marks.append(marks[-1] + step)
    low, high = min(low, marks[0]), max(high, marks[-1])
    labels = names([_clean(mark, step) for mark in marks])
    gutter = max(len(label) for label in labels)
    frame = _Frame(extent(_places(chart)), (low, high), width - gutter - 2, height, gutter)
    for index, line in enumerate(chart.lines):
        frame.draw(chart, line, index)
    for mark, label in zip(marks, labels, strict=True):
        frame.labels[frame.row(mark) // 4] = label
    return frame


def _clean(mark: float, step: float) -> float:
    """Undo the rounding error of a sum: a tick near zero is zero."""
    return 0.0 if abs(mark) < abs(step) * 1e-9 else mark


def _places(chart: Chart) -> list[float]:
    return [x for line in chart.lines for x, _ in _points(chart, line, finite=False)]


def _axes(chart: Chart, frame: _Frame) -> Text:
    drawn = Text(text.line(chart.y_label, 60) + "\n", "dim")
    for height in range(frame.height):
        label = frame.labels.get(height, "")
        drawn.append(f"{label:>{frame.gutter}} {'┤' if label else '│'}", "dim")
        cells = [frame.cell(height, column) for column in range(frame.width)]
        while cells and cells[-1][0] == " ":
            cells.pop()
        for character, style in cells:
            drawn.append(character, style)
        drawn.append("\n")
    marks = _columns(chart, frame)
    rule, below, end = ["─"] * frame.width, [" "] * (frame.width + 12), -1
    pinned = {frame.column(pin.x) // 2 for pin in _pins(chart, frame)}
    for mark, name in zip(marks, names(marks), strict=True):
        column = frame.column(mark) // 2
        start = max(end + 1, column - len(name) // 2)
        if start > column or start + len(name) > frame.width + 1:
            start = min(column, frame.width - len(name))
            if start <= end:
                continue
        rule[column] = "┴"
        below[start : start + len(name)] = name
        end = start + len(name)
    for column in pinned:
        rule[column] = PIN
    drawn.append(" " * frame.gutter + " └" + "".join(rule) + "\n", "dim")
    row = "".join(below).rstrip()
    word = text.line(chart.x_label, 60)
    room = frame.width - len(row) - 2
    tail = f"  {word}" if len(word) <= room else f"\n{word:>{frame.gutter + 2 + frame.width}}"
    return drawn.append(" " * (frame.gutter + 2) + row + tail, "dim")


def _columns(chart: Chart, frame: _Frame) -> list[float]:
    places = _places(chart)
    if len(set(places)) == 1:
        return [places[0]]
    low, high = frame.x
    whole = all(x == int(x) for x in places)
    widest = max(len(text.number(x)) for x in (low, high, (low + high) / 2 if not whole else high))
    return ticks(low, high, max(2, frame.width // (widest + 3)), whole)


def _legend(chart: Chart) -> Text:
    drawn = Text()
    for index, line in enumerate(chart.lines):
        style = STYLES[index % len(STYLES)]
        sample = {"dashed": "╌╌", "dotted": "┈┈"}.get(line.style, "──")
        drawn.append("\n").append(f"{MARKERS[index % len(MARKERS)]}{sample} ", style)
        drawn.append(text.line(line.label, 100))
        measured = [value for _, value in _points(chart, line, finite=False)]
        if not measured:
            drawn.append("  not measured", "dim")
        elif len(measured) == 1:
            drawn.append(f"  {text.number(measured[0])}", "dim")
        else:
            drawn.append(f"  {text.number(measured[0])} → {text.number(measured[-1])}", "dim")
    return drawn


def _pins(chart: Chart, frame: _Frame) -> list[Pin]:
    return [pin for pin in chart.pins if frame.x[0] <= pin.x <= frame.x[1]]


def _pinned(pins: Sequence[Pin]) -> Text:
    """Name what is pinned to the axis; the sentences themselves are remarks of the page."""
    if not pins:
        return Text()
    named = [f"{text.number(pin.x)} {text.line(pin.id or pin.text, 40)}" for pin in pins[:PINS]]
    more = f", {len(pins) - PINS} more" if len(pins) > PINS else ""
    return Text("\n").append(f"{PIN}   ", "dim").append(f"{', '.join(named)}{more}", "dim")


@dataclass
class _Frame:
    """The plot's cells: braille dots 2 x 4 to a cell, markers on top."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int
    gutter: int

    def __post_init__(self) -> None:
        self.dots: dict[tuple[int, int], tuple[int, str]] = {}
        self.marks: dict[tuple[int, int], tuple[str, str]] = {}
        self.labels: dict[int, str] = {}

    def column(self, x: float) -> int:
        low, high = self.x
        return round((x - low) / (high - low) * (self.width * 2 - 1))

    def row(self, y: float) -> int:
        low, high = self.y
        share = (min(max(y, low), high) - low) / (high - low)
        return round((1 - share) * (self.height * 4 - 1))

    def draw(self, chart: Chart, line: Line, index: int) -> None:
        style = STYLES[index % len(STYLES)]
        marker = MARKERS[index % len(MARKERS)]
        on, off = _PATTERNS.get(line.style, (1, 0))
        points = _points(chart, line, finite=False)
        every = max(1, math.ceil(len(points) / max(2, self.width // 6)))
        before: tuple[int, int] | None = None
        walked = placed = 0
        for x, y in zip(chart.x, line.values, strict=False):
            if y is None or y != y or not math.isfinite(x):
                before = None
                continue
            at = (self.column(x), self.row(y))
            if abs(y) > LARGEST:
                self.marks[at[1] // 4, at[0] // 2] = ("∞", style)
                before = None
            else:
                for dot in _between(before or at, at):
                    if walked % (on + off) < on:
                        self._set(dot, style)
                    walked += 1
                if placed % every == 0 or placed == len(points) - 1:
                    self.marks[at[1] // 4, at[0] // 2] = (marker, style)
                before = at
            placed += 1

    def cell(self, row: int, column: int) -> tuple[str, str]:
        if (row, column) in self.marks:
            return self.marks[row, column]
        bits, style = self.dots.get((row, column), (0, ""))
        return (chr(0x2800 + bits), style) if bits else (" ", "")

    def _set(self, dot: tuple[int, int], style: str) -> None:
        across, down = dot
        key = (down // 4, across // 2)
        self.dots[key] = (self.dots.get(key, (0, ""))[0] | _DOTS[down % 4][across % 2], style)


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    if steps == 0:
        return [end]
    across, down = (end[0] - start[0]) / steps, (end[1] - start[1]) / steps
    return [
        (round(start[0] + index * across), round(start[1] + index * down))
        for index in range(1, steps + 1)
    ]
