"""Draws, a network and a graph whose numbers plain Python computed."""

from __future__ import annotations

import random

from pipetrace.blocks import Column, Draws, Effect, Graph, Network, Node, Wires

RATES = (0.0, 0.3, 0.5, 0.9)
COUNT = 8


def draws() -> Draws:
    """Build values that pass one dropout layer.

    >>> len(draws().masks)
    4
    """
    source = random.Random(5)
    values = tuple(round(source.gauss(0, 1), 4) for _ in range(10))
    masks = tuple(tuple(_mask(source, len(values), rate) for _ in range(COUNT)) for rate in RATES)
    scales = tuple(1 / (1 - rate) for rate in RATES)

    def total(rate: int, mask: str) -> float:
        bits = f"{int(mask, 16):0{4 * len(mask)}b}"
        return sum(x * scales[rate] for x, bit in zip(values, bits, strict=False) if bit == "1")

    def shares(score: float) -> tuple[float, ...]:
        share = 1 / (1 + 2.718281828**-score)
        return share, 1 - share

    effects = (
        Effect(
            label="Linear(10, 1)",
            off=(sum(values),),
            draws=tuple(
                tuple((total(rate, mask),) for mask in row) for rate, row in enumerate(masks)
            ),
        ),
        Effect(
            label="probabilities",
            off=shares(sum(values)),
            draws=tuple(
                tuple(shares(total(rate, mask)) for mask in row) for rate, row in enumerate(masks)
            ),
            names=("yes", "no"),
        ),
    )
    return Draws(
        title="Dropout(0.3)", values=values, rates=RATES, scales=scales, masks=masks, chosen=1,
        effects=effects, note="The layer drew these masks.",
    )  # fmt: skip


def _mask(source: random.Random, count: int, rate: float) -> str:
    bits = "".join("1" if source.random() >= rate else "0" for _ in range(count))
    padded = bits + "0" * (-len(bits) % 4)
    return f"{int(padded, 2):0{len(padded) // 4}x}"


def network() -> Network:
    """Build a network of three columns.

    >>> len(network().columns)
    3
    """
    source = random.Random(6)
    inputs = tuple(round(source.gauss(0, 1), 4) for _ in range(4))
    struck = (False, True, False, False)
    weights = tuple(tuple(round(source.uniform(-0.5, 0.5), 4) for _ in inputs) for _ in range(2))
    bias = (0.1, -0.2)
    left = tuple(0.0 if gone else x / 0.75 for x, gone in zip(inputs, struck, strict=True))
    out = tuple(
        sum(w * x for w, x in zip(row, left, strict=True)) + b
        for row, b in zip(weights, bias, strict=True)
    )
    return Network(
        title="A network",
        columns=(
            Column(label="Input", values=inputs),
            Column(label="Dropout(0.25)", values=left, struck=struck),
            Column(label="Linear(4, 2)", values=out, names=("yes", "no")),
        ),
        wires=(Wires(source=0, target=1), Wires(source=1, target=2, weights=weights, bias=bias)),
        note="Weights and values of one moment.",
    )


def graph() -> Graph:
    """Build a graph with a residual connection.

    >>> len(graph().nodes)
    3
    """
    block = Node(
        id="block",
        name="Block",
        nodes=(
            Node(id="linear", name="Linear(8, 8)", shape="32 × 8", sources=("input",)),
            Node(id="relu", name="ReLU()", shape="32 × 8", sources=("linear",)),
            Node(id="add", name="add", shape="32 × 8", sources=("input", "relu")),
        ),
    )
    return Graph(
        title="What feeds what",
        nodes=(
            Node(id="input", name="Input", shape="32 × 8"),
            block,
            Node(id="head", name="Linear(8, 2)", shape="32 × 2", sources=("add",)),
        ),
    )
