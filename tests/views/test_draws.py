"""Masks over real values: the arithmetic, the mean, the effects and the live run of a layer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipetrace import blocks
from pipetrace.views import data, demo_models, html, text

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

BLOCK = demo_models.draws()
OWN = BLOCK.chosen


def kept(rate: int, draw: int, block: blocks.Draws = BLOCK) -> list[bool]:
    """Read a mask as its docstring says."""
    digits = block.masks[rate][draw]
    bits = "".join(f"{int(digit, 16):04b}" for digit in digits)
    return [bit == "1" for bit in bits[: len(block.values)]]


def cell(tab: Any, element: int, kind: str) -> str:
    found: str = tab.get_by_role("option").nth(element).locator(f".{kind}").inner_text()
    return found


def choose_rate(tab: Any, rate: int) -> None:
    slider = tab.get_by_role("slider", name="p")
    slider.focus()
    tab.keyboard.press("Home")
    for _ in range(rate):
        tab.keyboard.press("ArrowRight")


@pytest.mark.parametrize(("rate", "draw"), [(OWN, 0), (OWN, 11), (0, 0), (5, 31)])
def test_every_cell_is_value_times_mask_times_scale(shown: Open, rate: int, draw: int):
    tab = shown(BLOCK, hash=f"#s?s.draws~rate={rate}&s.draws~draw={draw}")
    masks = [kept(rate, each) for each in range(draw + 1)]
    for element, x in enumerate(BLOCK.values):
        y = x * BLOCK.scales[rate] if masks[-1][element] else 0.0
        total = sum(x * BLOCK.scales[rate] for mask in masks if mask[element])
        assert cell(tab, element, "x") == text.number(x)
        assert cell(tab, element, "mask") == ("1" if masks[-1][element] else "0 ✕")
        assert cell(tab, element, "y") == text.number(y)
        assert float(cell(tab, element, "mean")) == pytest.approx(total / (draw + 1), abs=1e-3)
    said = tab.get_by_role("status").all_inner_texts()[0]
    assert said == f"mask {draw + 1} of 32: {sum(masks[-1])} of 20 kept"


def test_the_arithmetic_is_said_on_focus_enter_and_hover(shown: Open):
    block = msgspec.structs.replace(BLOCK, values=(0.5, 0.5, *BLOCK.values[2:]), names=())
    mask = kept(OWN, 0, block)
    one, other = mask.index(True), mask.index(False)
    tab = shown(block)
    line = tab.locator(".sum")
    assert tab.locator(".elements [tabindex='0']").count() == 1
    tab.get_by_role("option").nth(0).focus()
    for _ in range(one):
        tab.keyboard.press("ArrowRight")
    x = text.number(block.values[one])
    y = text.number(block.values[one] / 0.7)
    assert line.inner_text() == f"element {one}: {x} × 1 × 1/(1−0.3) = {y}"
    tab.get_by_role("option").nth(other).hover()
    assert line.inner_text() == (
        f"element {other}: {text.number(block.values[other])} × 0 = 0 (dropped)"
    )
    tab.mouse.move(0, 0)
    assert line.inner_text().startswith(f"element {one}:")
    tab.keyboard.press("End")
    tab.keyboard.press("Enter")
    assert line.inner_text().startswith("element 19:")
    assert tab.get_by_role("option", selected=True).count() == 1
    assert "s.draws~element=19" in tab.evaluate("location.hash")
    assert line.get_attribute("role") == "status"


def test_half_of_an_example_is_0_7143(shown: Open):
    block = blocks.Draws(
        title="Dropout(0.3)", values=(0.5, 0.5), rates=(0.3,), scales=(1 / 0.7,), masks=(("8",),)
    )
    tab = shown(block)
    assert tab.locator(".sum").inner_text() == "element 0: 0.5 × 1 × 1/(1−0.3) = 0.7143"
    assert tab.get_by_role("slider").count() == 0


def test_a_scale_that_is_not_the_usual_one_is_said(shown: Open):
    block = blocks.Draws(
        title="t", values=(0.5, math.nan), rates=(0.3,), scales=(1.0,), masks=(("8", "4"),)
    )
    tab = shown(block)
    assert tab.locator(".sum").inner_text() == (
        "element 0: 0.5 × 1 × 1 = 0.5 (recorded scale 1; 1/(1−p) is 1.429)"
    )
    assert cell(tab, 1, "x") == "NaN"
    assert tab.locator(".curve").get_attribute("d")
    tab.get_by_role("option").nth(1).click()
    assert not tab.locator(".curve").get_attribute("d")


def test_the_mean_over_draws_is_drawn_and_said(shown: Open):
    tab = shown(BLOCK, hash="#s?s.draws~draw=11&s.draws~element=3")
    x, scale = BLOCK.values[3], BLOCK.scales[OWN]
    parts = [x * scale if kept(OWN, draw)[3] else 0.0 for draw in range(32)]
    said = tab.get_by_role("img", name="weight: mean of 12 draws").get_attribute("aria-label")
    numbers = [float(word.strip(",")) for word in said.split() if word.strip(",-").count(".") == 1]
    assert numbers == pytest.approx([sum(parts[:12]) / 12, sum(parts) / 32, x], abs=1e-3)
    points = tab.locator(".means .curve").get_attribute("d").removesuffix("h.1")
    heights = [float(point.split(" ")[1]) for point in points.lstrip("M").split("L")]
    goal = float(tab.locator(".goal").get_attribute("d").removeprefix("M0 ").partition("H")[0])
    assert len(heights) == 32
    assert abs(heights[-1] - goal) < max(abs(height - goal) for height in heights)


def test_masks_are_walked_through_and_the_address_keeps_them(shown: Open):
    tab = shown(BLOCK)
    status = tab.get_by_role("status").first
    assert "~" not in tab.evaluate("location.hash")
    tab.get_by_role("button", name="Previous mask").click()
    assert status.inner_text().startswith("mask 32 of 32")
    tab.get_by_role("button", name="Next mask").click()
    tab.get_by_role("button", name="Next mask").click()
    assert status.inner_text().startswith("mask 2 of 32")
    choose_rate(tab, 4)
    slider = tab.get_by_role("slider", name="p")
    assert slider.get_attribute("aria-valuetext") == "p = 0.7"
    place = tab.evaluate("location.hash")
    assert "s.draws~rate=4" in place
    assert "s.draws~draw=1" in place
    tab.reload()
    assert tab.locator(".rate").inner_text() == "p = 0.7"
    tab.evaluate("location.hash = '#s?s.draws~mode=eval'")
    tab.wait_for_function("document.querySelector('.rate').textContent.includes('own')")
    assert tab.get_by_role("radio", name="eval: passes").is_checked()
    assert tab.locator(".rate").inner_text() == "p = 0.3, the layer's own"


def test_moving_the_slider_keeps_the_elements(shown: Open):
    tab = shown(BLOCK)
    tab.evaluate(
        """() => {
            window.before = [...document.querySelectorAll(".elements > *, .elements span, path")];
            const slider = document.querySelector("input[type=range]");
            for (const value of [5, 1, 4]) {
                slider.value = value;
                slider.dispatchEvent(new Event("input"));
            }
        }"""
    )
    assert tab.evaluate("before.length > 100 && before.every((each) => each.isConnected)")
    assert cell(tab, 0, "mask") == ("1" if kept(4, 0)[0] else "0 ✕")


def test_with_dropping_off_everything_passes(shown: Open):
    tab = shown(BLOCK)
    tab.get_by_role("radio", name="eval: passes").check()
    for element in (0, 2, 19):
        assert cell(tab, element, "y") == cell(tab, element, "x") == cell(tab, element, "mean")
        assert cell(tab, element, "mask") == "off"
    assert tab.locator(".elements .struck").count() == 0
    shown_x = text.number(BLOCK.values[0])
    assert tab.locator(".sum").inner_text() == (f"height: {shown_x} stays {shown_x} (dropping off)")
    for row in tab.locator(".effect tbody tr").all():
        cells = row.locator("td.number").all_inner_texts()
        assert cells[0] == cells[1]


def test_effects_stand_beside_dropping_off(shown: Open):
    tab = shown(BLOCK, hash="#s?s.draws~draw=3")
    effect = BLOCK.effects[1]
    now = effect.draws[OWN][3]
    table = tab.locator(".effect").nth(1)
    for index, row in enumerate(table.locator("tbody tr").all()):
        assert row.locator("th").inner_text() == effect.names[index]
        off, drawn = (each.text_content() for each in row.locator("td.number").all())
        largest = "▲ largest: "
        assert off == (largest if effect.off[index] == max(effect.off) else "") + text.number(
            effect.off[index]
        )
        assert drawn == (largest if now[index] == max(now) else "") + text.number(now[index])
    assert table.locator(".gauge").count() == 3
    assert tab.locator(".effect").first.locator(".gauge").count() == 0
    widths = table.locator(".fill").evaluate_all("all => all.map(one => one.offsetWidth)")
    room = table.locator(".track").first.evaluate("one => one.clientWidth")
    assert [width / room for width in widths] == pytest.approx(list(now), abs=0.03)
    for _ in range(5):
        tab.get_by_role("button", name="Next mask").click()
    assert table.inner_text().endswith("not recorded for this mask")


def test_a_changed_winner_is_said_in_words(shown: Open):
    effect = BLOCK.effects[1]
    changed = [
        (rate, draw)
        for rate, draws in enumerate(effect.draws)
        for draw, now in enumerate(draws)
        if now.index(max(now)) != effect.off.index(max(effect.off))
    ]
    rate, draw = changed[0]
    now = effect.draws[rate][draw]
    tab = shown(BLOCK, hash=f"#s?s.draws~rate={rate}&s.draws~draw={draw}")
    best = effect.names[now.index(max(now))]
    assert f"largest: {best}; with dropping off: setosa" in tab.locator(".effects").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(shown: Open, judged: Callable[[Any], list[str]], scheme: str):
    tab = shown(BLOCK, hash="#s?s.draws~rate=5&s.draws~draw=20", color_scheme=scheme)
    assert judged(tab) == []
    tab.get_by_role("radio", name="eval: passes").check()
    assert judged(tab) == []


def test_it_fits_a_narrow_screen_and_paper(shown: Open):
    tab = shown(BLOCK, width=320)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    small = tab.locator("button, .draws label, input[type=range], [role=option]").evaluate_all(
        "all => all.filter(one => one.offsetHeight && one.offsetHeight < 24).length"
    )
    assert small == 0
    tab.emulate_media(media="print")
    assert tab.locator(".draws button:visible, .draws input:visible").count() == 0
    assert tab.locator(".sum").is_visible()


def test_odd_blocks_are_said(shown: Open):
    empty = blocks.Draws(title="none", values=(), rates=(), scales=(), masks=())
    none = blocks.Draws(title="none", values=(1.0,), rates=(0.5,), scales=(2.0,), masks=((),))
    large = demo_models.draws(elements=300, count=2)
    tab = shown(empty, none, large)
    assert tab.get_by_text("No mask was recorded.").count() == 2
    assert "236 more elements are not shown" in tab.locator(".draws").nth(2).inner_text()
    assert tab.get_by_text("The process").count() == 0
    assert tab.get_by_role("button", name="Run the layer again").count() == 0


@pytest.fixture
def lively(browser: Any) -> Any:
    """Show the block where `window.answer` stands for the process; it returns or throws."""
    tab = browser.new_page()
    tab.set_content("<div id='el'></div>")
    tab.add_style_tag(content=html.style())
    source = html.module().replace("export default", "window.viewer =")
    tab.add_script_tag(content=source, type="module")
    tab.wait_for_function("window.viewer")
    section = blocks.Section(id="s", title="S", blocks=(BLOCK,))
    page = blocks.Page(title="t", subtitle="", sections=(section,))
    tab.evaluate(
        """(page) => {
            const el = document.getElementById("el");
            window.asked = [];
            const act = async (name, given) => (asked.push([name, given]), window.answer(given));
            window.viewer.render({ model: { get: (key) => ({ page })[key], act }, el });
        }""",
        data.plain(page),
    )
    yield tab
    tab.close()


def test_a_live_run_is_shown_as_the_current_mask(lively: Any):
    result = blocks.Draws(
        title="live", values=BLOCK.values, rates=(0.45,), scales=(1 / 0.55,), masks=(("fffff",),),
        names=BLOCK.names,
        effects=(blocks.Effect(label="output", off=(1.0, 2.0), draws=(((3.0, 4.0),),)),),
    )  # fmt: skip
    answer = [data.plain(result), data.plain(blocks.Text(text="It ran again."))]
    lively.evaluate(f"void (window.answer = () => ({json.dumps(answer)}))")
    lively.get_by_label("p", exact=True).last.fill("0.45")
    lively.get_by_label("seed").fill("7")
    lively.get_by_role("button", name="Run the layer again").click()
    lively.get_by_text("Shown above as the live mask").wait_for()
    assert lively.evaluate("asked") == [
        ["rerun", {"again": "demo/0", "p": 0.45, "training": True, "seed": 7}]
    ]
    assert lively.locator(".rate").inner_text() == "p = 0.45, live"
    assert lively.get_by_role("status").first.inner_text() == "live mask: 20 of 20 kept"
    assert cell(lively, 0, "y") == text.number(BLOCK.values[0] / 0.55)
    assert "4" in lively.locator(".effect").inner_text()
    assert lively.get_by_text("It ran again.").is_visible()
    assert "from the live run" in lively.locator(".draws").inner_text()
    lively.get_by_role("button", name="Next mask").click()
    assert lively.locator(".rate").inner_text() == "p = 0.3, the layer's own"
    assert lively.locator(".effect").count() == 2


def test_an_error_of_a_live_run_is_text(lively: Any):
    lively.evaluate("void (window.answer = () => { throw new Error('<b>the model is gone</b>') })")
    lively.get_by_role("button", name="Run the layer again").click()
    lively.get_by_text("<b>the model is gone</b>").wait_for()
    lively.evaluate("void (window.answer = () => [])")
    lively.get_by_role("button", name="Run the layer again").click()
    lively.get_by_text("The process answered with nothing.").wait_for()
    lively.get_by_label("p", exact=True).last.fill("1.5")
    lively.get_by_role("button", name="Run the layer again").click()
    assert lively.evaluate("asked.length") == 2
