"""The JSON export reads back as the page."""

from __future__ import annotations

import json
import math

import msgspec

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import data


def test_the_page_reads_back(page: Page):
    assert msgspec.json.decode(data.render(page), type=Page) == page


def test_numbers_that_json_lacks_are_strings():
    line = blocks.Line(label="loss", values=(math.nan, math.inf, -math.inf, None))
    chart = blocks.Chart(title="", x_label="", y_label="", x=(1.0,), lines=(line,))
    section = blocks.Section(id="s", title="S", blocks=(chart,))
    read = json.loads(data.render(Page(title="t", subtitle="", sections=(section,))))
    values = read["sections"][0]["blocks"][0]["lines"][0]["values"]
    assert values == ["NaN", "Infinity", "-Infinity", None]


def test_hostile_text_is_carried(hostile: Page):
    read = json.loads(data.render(hostile).encode())
    if "\ud800" not in hostile.title:
        assert read["title"] == hostile.title
