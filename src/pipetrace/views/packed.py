"""What blocks hold in a packed form, as plain lists: masks, pixels, histograms, graphs."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence

from pipetrace.blocks import Draws, Graph, Histogram, Network, Node, Picture, Tokens, Wires
from pipetrace.views import text

SHADES = " ░▒▓█"
LEVELS = "▁▂▃▄▅▆▇█"


def kept(draws: Draws, rate: int, draw: int) -> list[bool]:
    """Read one mask: which elements were kept.

    Args:
        draws: The block.
        rate: Index of the rate.
        draw: Index of the draw.

    >>> kept(Draws(title="", values=(1, 2, 3), rates=(0.5,), scales=(2,), masks=(("a",),)), 0, 0)
    [True, False, True]
    """
    digits = draws.masks[rate][draw]
    bits = f"{int(digits, 16):0{4 * len(digits)}b}" if digits else ""
    return [bit == "1" for bit in bits[: len(draws.values)]]


def passed(draws: Draws, rate: int, draw: int) -> list[float]:
    """Compute what comes out of the layer under one mask.

    >>> passed(Draws(title="", values=(1, 2, 3), rates=(0.5,), scales=(2,), masks=(("a",),)), 0, 0)
    [2, 0.0, 6]
    """
    scale = draws.scales[rate]
    flags = kept(draws, rate, draw)
    return [x * scale if stays else 0.0 for x, stays in zip(draws.values, flags, strict=True)]


def means(draws: Draws, rate: int) -> list[float]:
    """Compute the mean of what comes out over all draws of a rate, element by element.

    >>> block = Draws(title="", values=(1, 2), rates=(0.5,), scales=(2,), masks=(("8", "c"),))
    >>> means(block, 0)
    [2.0, 2.0]
    """
    rows = [passed(draws, rate, draw) for draw in range(len(draws.masks[rate]))]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def sparkline(histogram: Histogram, columns: int) -> str:
    """Draw the counts of a histogram in so many columns at most; an empty one is a space.

    >>> sparkline(Histogram(low=0, high=1, counts=(0, 1, 2, 8)), 4)
    ' ▁▂█'
    >>> sparkline(Histogram(low=0, high=1, counts=(1, 1, 4, 4)), 2)
    '▂█'
    """
    width = max(1, math.ceil(len(histogram.counts) / max(1, columns)))
    counts = [
        sum(histogram.counts[start : start + width])
        for start in range(0, len(histogram.counts), width)
    ]
    most = max(counts, default=0)
    return "".join(
        LEVELS[max(0, math.ceil(count / most * len(LEVELS)) - 1)] if count > 0 else " "
        for count in counts
    )


def shades(picture: Picture, columns: int) -> list[str]:
    """Draw a picture with five shades, a cell being twice as high as it is wide.

    Args:
        picture: The picture; of colours the luminance is drawn.
        columns: The most cells in a row.

    Returns:
        A line for each row of cells, bright for high values.

    >>> shades(Picture(label="", width=2, height=2, channels=1, pixels="AP8A/w=="), 2)
    [' █']
    """
    data = base64.b64decode(picture.pixels)
    width, height, channels = picture.width, picture.height, picture.channels
    shares = (0.299, 0.587, 0.114) if channels == 3 else (1.0,)
    light = [
        sum(share * data[at + each] for each, share in enumerate(shares))
        for at in range(0, width * height * channels, channels)
    ]
    across = min(columns, width)
    down = max(1, round(height / width * across / 2))
    drawn = []
    for row in range(down):
        lines = range(
            row * height // down, max(row * height // down + 1, (row + 1) * height // down)
        )
        cells = []
        for column in range(across):
            places = range(column * width // across, (column + 1) * width // across)
            values = [light[y * width + x] for y in lines for x in places]
            level = sum(values) / len(values) / 255 * (len(SHADES) - 1)
            cells.append(SHADES[round(level)])
        drawn.append("".join(cells))
    return drawn


def depth(picture: Picture) -> str:
    """Say how large a picture is.

    >>> depth(Picture(label="", width=28, height=20, channels=1, pixels=""))
    '28 × 20 pixels, grey'
    """
    colours = "red, green and blue" if picture.channels == 3 else "grey"
    return f"{picture.width} × {picture.height} pixels, {colours}"


def pieces(tokens: Tokens) -> list[str]:
    """Write each token as its text and id, or as its id where no vocabulary was found.

    >>> pieces(Tokens(label="", ids=(7, 9), texts=(" cat", "s")))
    ['“ cat” 7', '“s” 9']
    """
    texts = tokens.texts
    return [
        f"“{_seen(texts[at])}” {number}" if at < len(texts) else str(number)
        for at, number in enumerate(tokens.ids)
    ]


def _seen(token: str) -> str:
    return text.visible(token, 60).replace("\n", "⏎")


def told(network: Network, wires: Wires) -> str:
    """Say in words what leads from one column of a network to another.

    >>> from pipetrace.blocks import Column
    >>> columns = (Column(label="in", values=(1, 2)), Column(label="out", values=(1,)))
    >>> wires = Wires(source=0, target=1, weights=((0.5, -1),), bias=(0.1,))
    >>> told(Network(title="", columns=columns, wires=(wires,)), wires)
    '2 × 1 weights, -1 to 0.5; 1 bias, 0.1'
    """
    if not wires.weights:
        return "unit to unit"
    source, target = network.columns[wires.source], network.columns[wires.target]
    flat = [weight for row in wires.weights for weight in row]
    words = f"{len(source.values)} × {len(target.values)} weights, {_span(flat)}"
    if wires.bias:
        many = "biases" if len(wires.bias) > 1 else "bias"
        words += f"; {len(wires.bias)} {many}, {_span(wires.bias)}"
    return words


def _span(values: Sequence[float]) -> str:
    low, high = text.number(min(values)), text.number(max(values))
    return low if low == high else f"{low} to {high}"


def numbered(graph: Graph) -> Iterator[tuple[str, int, Node, list[str]]]:
    """Walk through a graph in the order of the calls.

    Args:
        graph: The graph.

    Yields:
        Each node's number (`1.2`), its depth, itself, and the numbers of the leaves that it takes
        from where that is not just the leaf before it.

    >>> leaves = (Node(id="a", name="a"), Node(id="b", name="b", sources=("a",)),
    ...           Node(id="c", name="c", sources=("a", "b")))
    >>> [(number, sources) for number, _, _, sources in numbered(Graph(title="", nodes=leaves))]
    [('1', []), ('2', []), ('3', ['1', '2'])]
    """
    rows = list(_walk(graph.nodes, "", 0))
    numbers = {node.id: number for number, _, node in rows if not node.nodes}
    before = ""
    for number, level, node in rows:
        if node.nodes:
            yield number, level, node, []
            continue
        plain = node.sources == (before,) or not node.sources
        yield (
            number,
            level,
            node,
            [] if plain else [numbers.get(each, each) for each in node.sources],
        )
        before = node.id


def _walk(nodes: Sequence[Node], prefix: str, level: int) -> Iterator[tuple[str, int, Node]]:
    for at, node in enumerate(nodes, 1):
        yield f"{prefix}{at}", level, node
        yield from _walk(node.nodes, f"{prefix}{at}.", level + 1)
