"""Units and weights: the picture, the sentence about a unit, and the tables say the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pipetrace import blocks
from pipetrace.views import demo_models, text

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

BLOCK = demo_models.network()


def said(tab: Any) -> str:
    found: str = tab.locator(".network [role=status]").inner_text()
    return found


def test_every_unit_and_wire_is_drawn(shown: Open):
    tab = shown(BLOCK)
    options = tab.get_by_role("listbox", name=BLOCK.title).get_by_role("option")
    assert options.count() == sum(len(column.values) for column in BLOCK.columns)
    assert tab.locator(".scene g").first.locator(".wire").count() == 20 + 200 + 10 + 30
    weights = [weight for wires in BLOCK.wires for row in wires.weights for weight in row]
    below = tab.locator(".scene g").first.locator(".wire.below")
    assert below.count() == sum(weight < 0 for weight in weights)
    assert below.first.evaluate("one => getComputedStyle(one).strokeDasharray") == "6px, 4px"
    struck = BLOCK.columns[1].struck
    assert tab.locator(".cross").count() == sum(struck) > 0
    dropped = tab.get_by_role("option", name="dropped")
    assert dropped.count() == sum(struck)
    pale = tab.locator(".scene g").first.locator(".wire[opacity='0.12']")
    assert pale.count() == sum(struck) * (1 + 10)
    assert tab.locator(".amount.below").count() == sum(
        value < 0 for column in BLOCK.columns for value in column.values
    )


def test_a_unit_is_described_on_focus_and_hover(shown: Open):
    tab = shown(BLOCK, hash="#s?s.network~unit=2.3")
    column, wires = BLOCK.columns[2], BLOCK.wires[1]
    weights = wires.weights[3]
    strongest = max(range(20), key=lambda unit: abs(weights[unit]))
    assert said(tab) == (
        f"unit 3 of Linear(20, 10): value {text.number(column.values[3])}; "
        f"bias {text.number(wires.bias[3])}; 20 incoming weights, "
        f"strongest from Dropout(0.3) {strongest} ({text.number(weights[strongest])})"
    )
    assert tab.locator(".chosen .wire").count() == 20
    tab.get_by_role("option", name="unit 3 of ReLU()").hover()
    assert said(tab).startswith("unit 3 of ReLU(): value ")
    assert said(tab).endswith("; comes from Linear(20, 10) 3")
    tab.mouse.move(0, 0)
    assert said(tab).startswith("unit 3 of Linear(20, 10)")
    dropped = BLOCK.columns[1].struck.index(True)
    tab.get_by_role("option", name=f"unit {dropped} of Dropout(0.3)").click()
    assert said(tab) == (
        f"unit {dropped} of Dropout(0.3): value 0; dropped; comes from Input {dropped}"
    )
    assert f"s.network~unit=1.{dropped}" in tab.evaluate("location.hash")


def test_arrow_keys_walk_over_units_and_columns(shown: Open):
    tab = shown(BLOCK)
    scene = tab.get_by_role("listbox")
    assert tab.locator(".network [tabindex='0']").count() == 1
    scene.focus()
    assert said(tab).startswith("setosa of Linear(10, 3)")
    tab.keyboard.press("ArrowDown")
    assert said(tab).startswith("versicolor of Linear(10, 3)")
    tab.keyboard.press("End")
    tab.keyboard.press("ArrowDown")
    assert said(tab).startswith("virginica of Linear(10, 3)")
    tab.keyboard.press("ArrowLeft")
    assert said(tab).startswith("unit 8 of ReLU()")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Home")
    assert said(tab).startswith("unit 0 of Linear(20, 10)")
    active = scene.get_attribute("aria-activedescendant")
    chosen = tab.get_by_role("option", selected=True)
    assert chosen.count() == 1
    assert chosen.get_attribute("id") == active
    tab.reload()
    assert said(tab).startswith("unit 0 of Linear(20, 10)")
    tab.evaluate("location.hash = '#s'")
    tab.wait_for_function(
        "document.querySelector('.network [role=status]').textContent.startsWith('setosa')"
    )


def test_the_tables_say_the_same(shown: Open):
    tab = shown(BLOCK)
    tab.get_by_text("The network as a table").click()
    tab.wait_for_selector("details[open] table")
    units = tab.locator("details tbody tr").all_inner_texts()
    assert len(units) == 20 + 20 + 10 + 10 + 3
    dropped = BLOCK.columns[1].struck.index(True)
    assert units[20 + dropped].split("\t") == ["Dropout(0.3)", f"unit {dropped}", "0", "dropped"]
    assert units[60].split("\t")[:3] == [
        "Linear(10, 3)", "setosa", text.number(BLOCK.columns[4].values[0]),
    ]  # fmt: skip
    tab.get_by_text("The network as a table").click()
    tab.get_by_text("The weights as a table").click()
    tab.wait_for_selector("details[open] table")
    rows = tab.locator("details[open] tbody tr").all_inner_texts()
    assert len(rows) == 260
    weight = text.number(BLOCK.wires[1].weights[4][7])
    assert f"Dropout(0.3), unit 7\tLinear(20, 10), unit 4\t{weight}" in rows


def test_a_large_network_is_drawn_small_and_by_its_strongest_wires(shown: Open):
    tab = shown(demo_models.network(units=200, hidden=60))
    picture = tab.locator(".scene svg").bounding_box()
    pane = tab.locator(".scene").bounding_box()
    assert pane["height"] <= 720
    assert picture["height"] < 200 * 12
    assert tab.locator(".scene g").first.locator(".wire").count() == 3000 + 200 + 60
    assert tab.locator(".scene g").first.locator(".wire.plain").count() == 200 + 60
    assert "the 3000 strongest of 12180 weights" in tab.locator(".network").inner_text()
    tab.get_by_role("listbox").focus()
    for _ in range(4):
        tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("End")
    unit = tab.get_by_role("option", selected=True).bounding_box()
    assert pane["y"] <= unit["y"] <= pane["y"] + pane["height"]


def test_odd_networks_are_drawn(shown: Open):
    column = blocks.Column(label="x", values=(math.nan, math.inf, 0.0), names=("a", "b", "c"))
    wires = blocks.Wires(source=0, target=0, weights=((math.nan, 1.0, -1.0),) * 3)
    odd = blocks.Network(title="odd", columns=(column,), wires=(wires,))
    empty = blocks.Network(title="none", columns=(), wires=())
    tab = shown(odd, empty)
    assert tab.locator(".crash").count() == 0
    assert tab.get_by_text("No unit was recorded.").is_visible()
    assert tab.get_by_role("option", name="a of x, NaN").count() == 1
    drawn = tab.locator(".scene").inner_html()
    assert "Infinity" not in drawn
    assert "NaN " not in drawn.replace("NaN, ", "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(shown: Open, judged: Callable[[Any], list[str]], scheme: str):
    tab = shown(BLOCK, color_scheme=scheme)
    tab.locator("details").evaluate_all("all => all.forEach(one => (one.open = true))")
    tab.wait_for_selector("details table")
    assert judged(tab) == []


def test_it_fits_a_narrow_screen_and_paper(shown: Open):
    tab = shown(BLOCK, width=320)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    scene = tab.locator(".scene")
    assert scene.evaluate("one => one.scrollWidth > one.clientWidth")
    scene.focus()
    tab.keyboard.press("ArrowDown")
    place = tab.get_by_role("option", selected=True).bounding_box()
    assert 0 <= place["x"] <= 320
    tab.emulate_media(media="print")
    tab.wait_for_timeout(200)
    assert tab.locator(".network svg").is_visible()
