"""A page's curves, histograms, draws, networks and bars as figures for slides and papers."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.errors import PipetraceError
from pipetrace.views import packed, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLOURS = ("#1f5bb8", "#b34a00", "#1d7a52", "#96308f", "#7a6400", "#56606c")
"""The curves of the HTML page in its light theme."""
INK, MUTED, EDGE = "#1b1f24", "#565d66", "#84898f"
MARKERS = "osD^vPX*"
DASHES = {"solid": "-", "dashed": "--", "dotted": ":"}
WIDTH = 7.0
"""Inches: a page's text width, and half of a slide."""
SIZE = 10
DPI = 300
PANELS = 12
LABEL = 48
LARGEST = 1e300
LOOK: Any = {
    "font.size": SIZE, "axes.titlesize": SIZE + 1, "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE, "ytick.labelsize": SIZE, "legend.fontsize": SIZE,
    "figure.titlesize": SIZE + 1, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": EDGE, "axes.labelcolor": INK, "text.color": INK, "xtick.color": MUTED,
    "ytick.color": MUTED, "legend.frameon": False, "figure.facecolor": "white",
    "savefig.facecolor": "white", "svg.hashsalt": "pipetrace", "svg.fonttype": "none",
}  # fmt: skip


def drawable(page: Page) -> list[str]:
    """Return the ids of the sections that a figure can be made of.

    >>> from pipetrace.views import demo
    >>> drawable(demo.page())
    ['training', 'prediction', 'lab', 'network', 'samples']
    """
    return [section.id for section in page.sections if any(_parts(section.blocks))]


def figure(page: Page, section: str | None = None) -> Figure:
    """Draw a section as a Matplotlib figure.

    Args:
        page: The page.
        section: The id of a section, `training` for example; None draws all that can be drawn,
            one under the other. Tables, texts and flows are no figures: they are left out.

    Returns:
        A figure, 7 inches wide, that belongs to no window and to no state of pyplot.

    Raises:
        PipetraceError: matplotlib is not installed, or there is nothing to draw.
    """
    found = drawable(page)
    if not found:
        raise PipetraceError(
            "This page has no figure: it has no curve, distribution, draw, network or bar."
        )
    if section is not None and section not in found:
        raise PipetraceError(
            f"The page has no figure in a section {text.line(section, LABEL)!r}. "
            f"It has figures in: {', '.join(found)}."
        )
    chosen = [each for each in page.sections if each.id in ((section,) if section else found)]
    return _whole(chosen)


def encoded(page: Page, section: str, form: str) -> bytes:
    """Write the figure of a section as PNG (300 dots an inch) or SVG (text stays text).

    Equal pages give equal bytes: there is no date in them.

    Args:
        page: The page.
        section: The id of a section that `drawable` names.
        form: `png` or `svg`.

    Raises:
        PipetraceError: as for `figure`.
    """
    drawn = figure(page, section)
    file = io.BytesIO()
    hidden: dict[str, Any] = {"Date": None} if form == "svg" else {"Software": None}
    with _look(), warnings.catch_warnings():
        # A name may have letters that the font lacks: a box stands for each of them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawn.savefig(file, format=form, dpi=DPI, metadata=hidden)
    return file.getvalue()


def _look() -> Any:
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise PipetraceError(
            'Figures need matplotlib. Install it with: pip install "pipetrace[plot]"'
        ) from error
    return rc_context(LOOK)


def _whole(sections: Sequence[Section]) -> Figure:
    with _look():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        parts = [part for section in sections for part in _parts(section.blocks)]
        heights = [_HEIGHT[type(block)](block) for block, _ in parts]
        drawn = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        FigureCanvasAgg(drawn)
        places = drawn.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        for place, (block, prefix) in zip(places, parts, strict=True):
            title = getattr(block, "title", "")
            place.suptitle(_words(": ".join(word for word in (prefix, title) if word), 72),
                           fontweight="bold", x=0.01, ha="left")  # fmt: skip
            _DRAW[type(block)](block, place)
        return drawn


def _parts(
    found: Sequence[blocks.AnyBlock], prefix: str = ""
) -> Iterator[tuple[blocks.AnyBlock, str]]:
    """Yield what can be drawn, with the label of the tab that it stands in."""
    for block in found:
        if isinstance(block, blocks.Tabs):
            for tab in block.tabs:
                yield from _parts(tab.blocks, f"{tab.label}, {tab.note}" if tab.note else tab.label)
        elif type(block) in _DRAW and _full(block):
            yield block, prefix


def _full(block: blocks.AnyBlock) -> bool:
    if isinstance(block, blocks.Chart):
        return any(not math.isnan(value) for line in block.lines for value in _finite(line.values))
    if isinstance(block, blocks.Distributions):
        return any(histogram for panel in block.panels for histogram in panel.histograms)
    if isinstance(block, blocks.Draws):
        return bool(block.values)
    if isinstance(block, blocks.Network):
        return bool(block.columns)
    return isinstance(block, blocks.Bars) and bool(block.bars)


def _words(value: str, limit: int = LABEL) -> str:
    """Make a text safe for a figure, where a dollar begins a formula and an underscore hides."""
    shown = text.line(value)
    shown = shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
    return shown.replace("$", r"\$")


def _cut(value: str) -> str:
    return text.line(value)[:16]


def _named(label: str) -> str:
    """Keep a legend's label that begins with an underscore: Matplotlib would leave it out."""
    shown = _words(label)
    return f" {shown}" if shown.startswith("_") else shown


def _finite(values: Sequence[float | None]) -> list[float]:
    return [
        math.nan if value is None or not abs(value) <= LARGEST else float(value) for value in values
    ]


def _chart(block: blocks.Chart, place: SubFigure) -> None:
    axes = place.add_subplot()
    few = len(block.x) <= 40
    for at, line in enumerate(block.lines):
        count = min(len(block.x), len(line.values))
        axes.plot(
            _finite(block.x[:count]), _finite(line.values[:count]),
            color=COLOURS[at % len(COLOURS)], linestyle=DASHES.get(line.style, "-"),
            marker=MARKERS[at % len(MARKERS)] if few or count == 1 else None, markersize=5,
            label=_named(line.label),
        )  # fmt: skip
    if all(x == int(x) for x in _finite(block.x) if not math.isnan(x)):
        axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(_words(block.x_label))
    axes.set_ylabel(_words(block.y_label, 28))
    axes.grid(axis="y", color="#dedfdb", linewidth=0.6)
    _legend(axes)
    shown = [pin for pin in block.pins if math.isfinite(pin.x)][:9]
    for number, pin in enumerate(shown, 1):
        axes.axvline(pin.x, color=MUTED, linestyle=(0, (1, 3)), linewidth=1)
        axes.annotate(str(number), (pin.x, 1), xycoords=("data", "axes fraction"),
                      ha="center", va="bottom")  # fmt: skip
    if shown:
        names = [f"{number} {pin.id or pin.text}" for number, pin in enumerate(shown, 1)]
        axes.set_title(_words(", ".join(names), LABEL * 2), loc="left", pad=20, color=MUTED,
                       fontsize=SIZE)  # fmt: skip


def _legend(axes: Axes, columns: int = 3) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        longest = max(len(label) for label in labels)
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(0, -0.2),
                    ncols=max(1, min(columns, 70 // (longest + 6))), borderaxespad=0)  # fmt: skip


def _distributions(block: blocks.Distributions, place: SubFigure) -> None:
    shown = _panels(block)
    grid = place.subplots(math.ceil(len(shown) / 2), 2, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    last = len(block.moments) - 1
    moments = sorted({0, last // 2, last})
    handles: dict[str, Any] = {}
    for panel, axes in zip(shown, grid.flat, strict=False):
        for at, moment in enumerate(moments):
            histogram = panel.histograms[moment]
            if histogram is None:
                continue
            edges = _edges(histogram)
            area = (sum(histogram.counts) or 1) * (edges[1] - edges[0])
            label = _named(f"{_cut(block.x_label)} {text.number(block.moments[moment])}")
            handles[label] = axes.stairs(
                [count / area for count in histogram.counts], edges, color=COLOURS[at],
                linestyle=tuple(DASHES.values())[at], linewidth=1.5,
            )  # fmt: skip
        axes.set_title(_words(panel.label, 34), fontsize=SIZE)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
    place.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=3)


def _panels(block: blocks.Distributions) -> tuple[blocks.Panel, ...]:
    return tuple(panel for panel in block.panels if any(panel.histograms))[:PANELS]


def _edges(histogram: blocks.Histogram) -> list[float]:
    count = len(histogram.counts)
    low, high = _finite((histogram.low, histogram.high))
    if not high > low:
        low, high = low - 0.5, low + 0.5
    return [low + (high - low) * at / count for at in range(count + 1)]


def _draws(block: blocks.Draws, place: SubFigure) -> None:
    rate, count = block.chosen, len(block.masks[block.chosen])
    effects = [effect for effect in block.effects if effect.draws[rate]][-1:]
    grid = place.subplots(1 + len(effects), 1, squeeze=False)[:, 0]
    axes = grid[0]
    values, flags = _finite(block.values), packed.kept(block, rate, 0)
    places = list(range(len(values)))
    axes.axhline(0, color=EDGE, linewidth=0.8)
    axes.bar(places, values, color="white", edgecolor=COLOURS[0], label="x")
    axes.plot(places, _finite(packed.passed(block, rate, 0)), linestyle="", marker="o",
              color=COLOURS[1], markersize=4, label="y, draw 1")  # fmt: skip
    gone = [at for at, stays in enumerate(flags) if not stays]
    axes.plot(gone, [0.0] * len(gone), linestyle="", marker="x", color=INK, label="dropped in it")
    axes.plot(places, _finite(packed.means(block, rate)), linestyle="", marker="_",
              color=COLOURS[2], markersize=9, label=f"mean of {count} draws")  # fmt: skip
    _ticks(axes, places, block.names)
    axes.set_ylabel(f"p = {text.number(block.rates[rate])}")
    _legend(axes, 4)
    for effect, below in zip(effects, grid[1:], strict=True):
        places = list(range(len(effect.off)))
        for at, drawn in enumerate(effect.draws[rate]):
            below.plot(places, _finite(drawn[: len(places)]), linestyle="", marker="o",
                       markerfacecolor="none", color=COLOURS[1], markersize=5,
                       label=None if at else f"{len(effect.draws[rate])} draws")  # fmt: skip
        below.plot(places, _finite(effect.off), linestyle="", marker="_", color=COLOURS[0],
                   markersize=18, markeredgewidth=2, label="off")  # fmt: skip
        below.set_xlim(-0.5, len(places) - 0.5)
        _ticks(below, places, effect.names)
        below.set_ylabel(_words(effect.label, 24))
        _legend(below)


def _ticks(axes: Axes, places: Sequence[int], names: Sequence[str]) -> None:
    short = bool(names) and sum(len(name) + 2 for name in names) < 80 and len(names) == len(places)
    if short:
        axes.set_xticks(places, [_words(name) for name in names])
    else:
        axes.locator_params(axis="x", integer=True)


def _bars(block: blocks.Bars, place: SubFigure) -> None:
    axes = place.add_subplot()
    names = [f"{_words(bar.label, 24)}{f' ({_words(bar.mark, 16)})' if bar.mark else ''}"
             for bar in block.bars]  # fmt: skip
    shares = [min(max(share, 0.0), 1.0) if share == share else 0.0
              for share in (bar.share for bar in block.bars)]  # fmt: skip
    places = list(range(len(names)))
    drawn = axes.barh(places, shares, color=COLOURS[0], edgecolor=INK)
    for rectangle, bar in zip(drawn, block.bars, strict=True):
        rectangle.set_hatch("" if bar.mark else "///")
        rectangle.set_facecolor(COLOURS[0] if bar.mark else "#dbe5f4")
    axes.bar_label(drawn, [_words(bar.value, 28) for bar in block.bars], padding=4)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])


def _network(block: blocks.Network, place: SubFigure) -> None:
    from matplotlib.collections import LineCollection

    axes = place.add_subplot()
    axes.set_axis_off()
    spots = [
        [(at, (len(column.values) - 1) / 2 - unit) for unit in range(len(column.values))]
        for at, column in enumerate(block.columns)
    ]
    tallest = max(len(column) for column in spots)
    for at, unit_spots in enumerate(spots):
        stretch = min((tallest - 1) / max(len(unit_spots) - 1, 1), 2.5)
        spots[at] = [(x, y * stretch) for x, y in unit_spots]
    for wires in block.wires:
        source, target = block.columns[wires.source], block.columns[wires.target]
        pairs = (
            [(a, b, w) for b, row in enumerate(wires.weights) for a, w in enumerate(row)]
            if wires.weights
            else [(unit, unit, 0.0) for unit in range(min(len(source.values), len(target.values)))]
        )
        most = max((abs(w) for _, _, w in pairs if math.isfinite(w)), default=0) or 1
        shares = [abs(w) / most if wires.weights and math.isfinite(w) else 0.3 for *_, w in pairs]
        axes.add_collection(LineCollection(
            [(spots[wires.source][a], spots[wires.target][b]) for a, b, _ in pairs],
            linewidths=[0.2 + 1.6 * share for share in shares],
            colors=[COLOURS[1] if w < 0 else COLOURS[0] for *_, w in pairs],
            linestyles=["--" if w < 0 else "-" for *_, w in pairs], zorder=1,
        ))  # fmt: skip
    dot = max(8.0, min(70.0, 1500 / tallest))
    for column, column_spots in zip(block.columns, spots, strict=True):
        xs, ys = zip(*column_spots, strict=True)
        struck = [at < len(column.struck) and column.struck[at] for at in range(len(xs))]
        axes.scatter(xs, ys, s=dot, color="white", edgecolors=INK, zorder=2)
        axes.scatter([x for x, gone in zip(xs, struck, strict=True) if gone],
                     [y for y, gone in zip(ys, struck, strict=True) if gone],
                     s=dot, marker="x", color=INK, zorder=3)  # fmt: skip
        axes.annotate(_words(column.label, 20), (xs[0], min(y for s in spots for _, y in s)),
                      xytext=(0, -14), textcoords="offset points", ha="center", va="top",
                      rotation=20 if len(spots) > 4 else 0)  # fmt: skip
    signs = "dashed: negative weight, wider: larger"
    crossed = ", crossed: dropped" if any(any(column.struck) for column in block.columns) else ""
    axes.set_title(signs + crossed, loc="left", fontsize=SIZE, color=MUTED)
    axes.margins(x=0.08, y=0.12)


_DRAW: dict[type, Callable[[Any, SubFigure], None]] = {
    blocks.Chart: _chart,
    blocks.Distributions: _distributions,
    blocks.Draws: _draws,
    blocks.Bars: _bars,
    blocks.Network: _network,
}
_HEIGHT: dict[type, Callable[[Any], float]] = {
    blocks.Chart: lambda block: 3.8 + 0.25 * (len(block.lines) // 3),
    blocks.Distributions: lambda block: 0.8 + 1.7 * math.ceil(len(_panels(block)) / 2),
    blocks.Draws: lambda block: 3.0 + 2.4 * bool(block.effects),
    blocks.Bars: lambda block: 0.9 + 0.32 * len(block.bars),
    blocks.Network: lambda block: 4.5,
}
