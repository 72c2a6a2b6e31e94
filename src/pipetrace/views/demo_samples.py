"""Distributions, pictures, tokens and tabs whose numbers plain Python computed."""

from __future__ import annotations

import base64
import math
import random

from pipetrace.blocks import (
    Bar,
    Bars,
    Distributions,
    Flow,
    Histogram,
    Panel,
    Picture,
    Stage,
    Strip,
    Tab,
    Tabs,
    Text,
    Tokens,
)

BINS = 24
MOMENTS = (0.0, 1.0, 2.0, 5.0, 8.0)


def distributions() -> Distributions:
    """Build two distributions that widen, one of which was not measured once.

    >>> [len(panel.histograms) for panel in distributions().panels]
    [5, 5]
    """
    source = random.Random(7)
    weights = tuple(_histogram(source, 0.1 + 0.05 * moment) for moment in MOMENTS)
    outputs = tuple(
        None if moment == 2.0 else _histogram(source, 1.0, lowest=0.0) for moment in MOMENTS
    )
    return Distributions(
        title="Weights and activations",
        x_label="epoch",
        moments=MOMENTS,
        panels=(
            Panel(label="head.linear.weight", histograms=weights, note="All 200 values."),
            Panel(label="head.relu", histograms=outputs, note="Sampled: 2,048 of 9,600 values."),
        ),
    )


def _histogram(
    source: random.Random, spread: float, lowest: float = -math.inf, count: int = 2000
) -> Histogram:
    values = [max(lowest, source.gauss(0, spread)) for _ in range(count)]
    low, high = min(values), max(values)
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int((value - low) / (high - low) * BINS))] += 1
    return Histogram(low=round(low, 4), high=round(high, 4), counts=tuple(counts))


def pictured() -> Stage:
    """Build a stage that takes a picture and one that takes tokens.

    >>> pictured().pictures[0].width
    12
    """
    grey = bytes(_ring(x, y) for y in range(12) for x in range(12))
    colours = bytes(
        part for y in range(8) for x in range(8) for part in (x * 36, y * 36, 255 - x * 36)
    )
    return Stage(
        id="sample",
        name="Input",
        shape="32 × 1 × 12 × 12",
        words="One picture, and three tokens that describe it.",
        pictures=(
            Picture(label="a ring", width=12, height=12, channels=1,
                    pixels=base64.b64encode(grey).decode(), note="black is 0, white is 1"),
            Picture(label="two slopes", width=8, height=8, channels=3,
                    pixels=base64.b64encode(colours).decode()),
        ),
        tokens=(
            Tokens(label="tokens", ids=(17, 4, 230), texts=("a", " white", " ring\n"), total=128),
            Tokens(label="ids", ids=(17, 4, 230), note="no vocabulary was found"),
        ),
    )  # fmt: skip


def _ring(x: int, y: int) -> int:
    away = math.hypot(x - 5.5, y - 5.5)
    return max(0, min(255, round(255 - 120 * abs(away - 4))))


def tabs() -> Tabs:
    """Build two samples to choose from.

    >>> [tab.id for tab in tabs().tabs]
    ['17', '4']
    """

    def blocks(row: tuple[float, ...], share: float) -> tuple[Flow | Bars | Text, ...]:
        active = tuple(max(0.0, value) for value in row)
        flow = Flow(
            stages=(
                Stage(id="row", name="Input", strips=(Strip(label="row", values=row),)),
                Stage(id="relu", name="ReLU()", strips=(Strip(label="out", values=active),)),
            )
        )
        bars = Bars(
            bars=(
                Bar(label="yes", share=share, value=f"{share:.4f}", mark="predicted"),
                Bar(label="no", share=1 - share, value=f"{1 - share:.4f}", mark="true"),
            )
        )
        return Text(text=f"{share:.4f} for a class that is not the true one."), flow, bars

    return Tabs(
        title="Samples",
        tabs=(
            Tab(id="17", label="Sample 17", note="most wrong", tone="bad",
                blocks=blocks((0.5, -1.25, 2.0), 0.97)),
            Tab(id="4", label="Sample 4", note="least certain",
                blocks=blocks((-0.5, 0.25, 1.0), 0.51)),
        ),
    )  # fmt: skip
