"""Blocks that show a model's inside, with numbers that plain Python computes."""

from __future__ import annotations

import math
import random

from pipetrace.blocks import Column, Draws, Effect, Graph, Network, Node, Wires

FEATURES = ("height", "width", "depth", "weight", "age", "rings")
CLASSES = ("setosa", "versicolor", "virginica")
RATES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
OWN = 2
COUNT = 32
HEARD = 8


def draws(elements: int = 20, count: int = COUNT) -> Draws:
    """Draw masks over a row, and pass each through one linear layer and a softmax.

    Args:
        elements: How many values the row has.
        count: How many masks there are for each rate; the first 8 have effects.

    Returns:
        A block with masks at six rates, of which 0.3 is the layer's own.

    >>> block = draws(elements=6, count=1)
    >>> block.masks[0], block.scales[1]
    (('fc',), 1.1111111111111112)
    """
    source = random.Random(7)
    row = [round(source.gauss(0, 1), 4) for _ in range(elements)]
    weights = _weights(len(CLASSES), elements, 8)
    scales = tuple(1 / (1 - rate) for rate in RATES)
    kept = [
        [[source.random() >= rate for _ in row] for _ in range(count)]
        for rate in RATES
    ]  # fmt: skip
    scores = tuple(
        tuple(_multiply(weights, _drop(row, mask, scale)) for mask in masks[:HEARD])
        for masks, scale in zip(kept, scales, strict=True)
    )
    off = _multiply(weights, row)
    return Draws(
        title=f"Dropout(0.3) over {elements} values",
        values=tuple(row),
        rates=RATES,
        scales=scales,
        masks=tuple(tuple(_digits(mask) for mask in masks) for masks in kept),
        chosen=OWN,
        names=FEATURES,
        effects=(
            Effect(label=f"Linear({elements}, 3), the next layer", off=off, draws=scores),
            Effect(
                label="probabilities",
                off=_softmax(off),
                draws=tuple(tuple(_softmax(each) for each in rate) for rate in scores),
                names=CLASSES,
            ),
        ),
        again="demo/0",
    )


def network(units: int = 20, hidden: int = 10) -> Network:
    """Build the picture of a row on its way through dropout and two linear layers.

    Args:
        units: How many inputs there are.
        hidden: How many units lie between.

    Returns:
        A block with five columns.

    >>> [len(column.values) for column in network(4, 3).columns]
    [4, 4, 3, 3, 3]
    """
    source = random.Random(7)
    row = [round(source.gauss(0, 1), 4) for _ in range(units)]
    kept = [source.random() >= RATES[OWN] for _ in row]
    dropped = _drop(row, kept, 1 / (1 - RATES[OWN]))
    first, second = _weights(hidden, units, 9), _weights(3, hidden, 10)
    bias = tuple(round(0.05 * (at % 3 - 1), 4) for at in range(hidden))
    between = tuple(
        total + more for total, more in zip(_multiply(first, dropped), bias, strict=True)
    )
    active = tuple(max(0.0, value) for value in between)
    return Network(
        title="One row in train mode",
        columns=(
            Column(label="Input", values=tuple(row), names=FEATURES if units == 6 else ()),
            Column(
                label="Dropout(0.3)",
                values=tuple(dropped),
                struck=tuple(not one for one in kept),
            ),
            Column(label=f"Linear({units}, {hidden})", values=between),
            Column(label="ReLU()", values=active),
            Column(label=f"Linear({hidden}, 3)", values=_multiply(second, active), names=CLASSES),
        ),
        wires=(
            Wires(source=0, target=1),
            Wires(source=1, target=2, weights=first, bias=bias),
            Wires(source=2, target=3),
            Wires(source=3, target=4, weights=second),
        ),
    )


def graph(layers: int = 3) -> Graph:
    """Build the graph of a small residual model: each layer's sum also takes what went in.

    Args:
        layers: How many layers there are; a layer holds five leaves.

    Returns:
        A block with an embedding, the layers and a head that also takes the embedding.

    >>> graph(1).nodes[1].nodes[-1].sources
    ('layers.0.ff.1', 'embed')
    """
    made = []
    previous = "embed"
    for index in range(layers):
        name = f"layers.{index}"
        made.append(
            Node(
                id=name,
                name=f"{name} Block",
                shape="32 × 16 → 32 × 16",
                nodes=(
                    Node(id=f"{name}.norm", name="LayerNorm(16)", sources=(previous,)),
                    Node(
                        id=f"{name}.ff",
                        name="Sequential",
                        shape="32 × 16 → 32 × 16",
                        nodes=(
                            Node(
                                id=f"{name}.ff.0",
                                name="Linear(16, 64)",
                                shape="32 × 16 → 32 × 64",
                                sources=(f"{name}.norm",),
                            ),
                            Node(
                                id=f"{name}.ff.1",
                                name="Linear(64, 16)",
                                shape="32 × 64 → 32 × 16",
                                sources=(f"{name}.ff.0",),
                            ),
                        ),
                    ),
                    Node(
                        id=f"{name}.add",
                        name="add",
                        words="Adds what went into the block.",
                        shape="32 × 16",
                        sources=(f"{name}.ff.1", previous),
                    ),
                ),
            )
        )
        previous = f"{name}.add"
    ends = (
        Node(id="embed", name="embed Embedding(100, 16)", shape="32 → 32 × 16"),
        Node(
            id="head",
            name="head Linear(16, 3)",
            shape="32 × 16 → 32 × 3",
            sources=(previous, "embed"),
        ),
    )
    return Graph(title="What feeds what", nodes=(ends[0], *made, ends[1]))


def _weights(rows: int, columns: int, seed: int) -> tuple[tuple[float, ...], ...]:
    source = random.Random(seed)
    reach = 1 / math.sqrt(columns)
    return tuple(
        tuple(round(source.uniform(-reach, reach), 4) for _ in range(columns)) for _ in range(rows)
    )


def _multiply(
    weights: tuple[tuple[float, ...], ...], row: list[float] | tuple[float, ...]
) -> tuple[float, ...]:
    return tuple(sum(w * x for w, x in zip(each, row, strict=True)) for each in weights)


def _drop(row: list[float], kept: list[bool], scale: float) -> list[float]:
    return [x * scale if stays else 0.0 for x, stays in zip(row, kept, strict=True)]


def _softmax(scores: tuple[float, ...]) -> tuple[float, ...]:
    powers = [math.exp(score) for score in scores]
    return tuple(power / sum(powers) for power in powers)


def _digits(kept: list[bool]) -> str:
    """Write flags as hexadecimal digits, the first in the highest bit."""
    padded = [*kept, *([False] * (-len(kept) % 4))]
    return "".join(
        f"{sum(flag << (3 - bit) for bit, flag in enumerate(padded[at : at + 4])):x}"
        for at in range(0, len(padded), 4)
    )
