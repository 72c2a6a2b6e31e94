"""Draws, networks, graphs, distributions, pictures and tabs say their numbers in text."""

from __future__ import annotations

import base64
import io
from itertools import pairwise

import msgspec
import pytest
from rich.console import Console

from pipetrace import blocks
from pipetrace.views import demo_models, demo_samples, drawings, markdown, packed, terminal, text


def printed(value: blocks.Block, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(terminal.block(value))
    return file.getvalue()


def test_a_mask_is_read_from_its_highest_bit():
    draws = blocks.Draws(
        title="d", values=tuple(range(10)), rates=(0.5,), scales=(2.0,), masks=(("a14", "ffc"),)
    )
    expected = [True, False, True, False, False, False, False, True, False, True]
    assert packed.kept(draws, 0, 0) == expected
    assert packed.kept(draws, 0, 1) == [True] * 10
    assert packed.means(draws, 0)[:3] == [0, 1, 4]


@pytest.mark.parametrize("rate", range(len(demo_models.draws().rates)))
def test_the_rate_of_the_layer_is_the_one_that_is_drawn(rate: int):
    draws = msgspec.structs.replace(demo_models.draws(), chosen=rate)
    flags = packed.kept(draws, rate, 0)
    words = f"p = {text.number(draws.rates[rate])}, draw 1 of {len(draws.masks[rate])}: "
    for drawn in (printed(draws, 120), markdown.block(draws).replace("\\", "")):
        assert f"{words}kept {sum(flags)} of {len(flags)}" in drawn
    row = next(line for line in printed(draws, 120).splitlines() if line.startswith("y, draw 1"))
    cells = row.removeprefix("y, draw 1").partition("…")[0].split()
    assert [cell.strip("·") for cell in cells] == [
        text.number(value) for value in packed.passed(draws, rate, 0)[: len(cells)]
    ]
    assert [cell.startswith("·") for cell in cells] == [not flag for flag in flags[: len(cells)]]


def test_weights_are_counted_and_only_skips_name_their_source():
    drawn = printed(demo_models.network())
    weights = [w for row in demo_models.network().wires[-1].weights for w in row]
    assert f"{text.number(min(weights))} to {text.number(max(weights))}" in drawn
    skips = [bool(row[3]) for row in packed.numbered(demo_models.graph())]
    for value, drawn in ((printed(demo_models.graph()), skips[:drawings.NODES]),
                         (markdown.block(demo_models.graph()), skips)):  # fmt: skip
        named = [line for line in value.splitlines() if "from" in line]
        assert len(named) == sum(drawn) > 0


def test_a_large_graph_is_cut_and_counted():
    nodes = [blocks.Node(id="0", name="n0")]
    nodes += [
        blocks.Node(id=str(at), name=f"n{at}", sources=(str(at - 1),)) for at in range(1, 500)
    ]
    drawn = printed(blocks.Graph(title="g", nodes=tuple(nodes)))
    assert "484 more nodes" in drawn
    assert "n15" in drawn
    assert "n16" not in drawn


def test_distributions_keep_their_range_and_say_what_was_not_measured():
    block = demo_samples.distributions()
    first = block.panels[0].histograms[0]
    assert first is not None
    drawn = printed(block)
    assert text.number(first.low) in drawn
    assert text.number(first.high) in drawn
    panel = blocks.Panel(label="gone", histograms=(None,) * 5)
    drawn = printed(msgspec.structs.replace(block, panels=(panel,)))
    assert "not" in drawn
    assert "could not be drawn" not in drawn


def test_a_sparkline_keeps_the_order_of_counts():
    counts = (0, 1, 5, 25, 125, 625)
    line = packed.sparkline(blocks.Histogram(low=0, high=1, counts=counts), 6)
    assert line[0] == " "
    assert all(before <= after for before, after in pairwise(line))
    assert line[-1] == packed.LEVELS[-1]
    assert len(packed.sparkline(blocks.Histogram(low=0, high=1, counts=counts), 4)) <= 4
    assert packed.sparkline(blocks.Histogram(low=0, high=0, counts=(0, 0)), 4) == "  "


def test_a_picture_is_dark_where_its_pixels_are():
    rows = bytes([0] * 16 + [255] * 16)
    pixels = base64.b64encode(rows).decode()
    picture = blocks.Picture(label="half", width=4, height=8, channels=1, pixels=pixels)
    assert packed.shades(picture, 16) == ["    ", "    ", "████", "████"]


def test_every_tab_is_there_and_only_the_first_shows_its_flow():
    drawn = printed(demo_samples.tabs())
    for tab in demo_samples.tabs().tabs:
        assert tab.label in drawn
        assert tab.label in markdown.block(demo_samples.tabs())
    assert drawn.count("ReLU()") == 1
    assert "its 2 stages are in the HTML page" in drawn
    assert markdown.block(demo_samples.tabs()).count("ReLU()") == 2
