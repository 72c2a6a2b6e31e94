"""What a reader chooses on a page: scales, moments, tabs; the address keeps it all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.views import data, html

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

CHART = blocks.Chart(
    title="Loss", x_label="epoch", y_label="loss", x=tuple(map(float, range(1, 21))),
    lines=(blocks.Line(label="loop", values=tuple(2.0 ** -epoch for epoch in range(20))),),
    pins=(
        blocks.Pin(x=3.0, text="The loss halved.", id="OBS1", tone="good"),
        blocks.Pin(x=3.0, text="It is below one.", id="OBS2"),
    ),
)  # fmt: skip
MOVING = blocks.Distributions(
    title="Weights", x_label="epoch", moments=(0.0, 1.0, 2.0),
    panels=(
        blocks.Panel(label="0.weight", note="exact", histograms=(
            blocks.Histogram(low=-1.0, high=1.0, counts=(1, 2, 1)), None,
            blocks.Histogram(low=-2.0, high=4.0, counts=(4, 0, 1)),
        )),
        blocks.Panel(label="constant", histograms=(
            blocks.Histogram(low=1.0, high=1.0, counts=(9,)),) * 3),
    ),
)  # fmt: skip


def flow(name: str) -> blocks.Flow:
    return blocks.Flow(stages=tuple(blocks.Stage(id=f"{name}-{n}", name=f"{name} {n}")
                                    for n in range(3)))  # fmt: skip


TABS = blocks.Tabs(
    title="Samples",
    tabs=tuple(blocks.Tab(id=name, label=f"Sample {name}", blocks=(flow(name),)) for name in "abc"),
)
PAGE = Page(
    title="t", subtitle="s",
    sections=(
        Section(id="training", title="Training", blocks=(CHART, MOVING)),
        Section(id="prediction", title="Prediction", blocks=(TABS,)),
    ),
)  # fmt: skip


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the page at a hash; anything in the console fails the test."""
    noise: list[str] = []
    tabs: list[Any] = []
    path = tmp_path / "page.html"
    html.write(PAGE, path)

    def open_page(hash: str = "") -> Any:
        tab = browser.new_page(reduced_motion="reduce")
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tabs.append(tab)
        tab.goto(path.as_uri() + hash)
        tab.wait_for_selector("main section")
        tab.wait_for_timeout(100)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert noise == []


def test_a_log_scale_makes_halving_a_straight_line(opened: Open):
    tab = opened()
    heights = """() => [...document.querySelectorAll(".plot .curve")].at(-1).getAttribute("d")
        .split(/[ML]/).slice(1).map((point) => Number(point.split(" ")[1]))"""
    linear = tab.evaluate(heights)
    tab.get_by_role("button", name="Log scale").click()
    straight = tab.evaluate(heights)
    steps = [after - before for before, after in pairwise(straight)]
    assert max(steps) - min(steps) < 0.3
    assert straight != linear
    assert "~log=on" in tab.evaluate("location.hash")
    assert "log scale" in tab.locator(".plot").inner_html()
    tab.get_by_role("button", name="Log scale").click()
    assert tab.evaluate(heights) == linear
    assert "log" not in tab.evaluate("location.hash")


def test_smoothing_is_off_at_first_and_never_changes_what_is_read(opened: Open):
    tab = opened()
    assert tab.get_by_label("Smoothing").input_value() == "off"
    assert tab.locator(".raw").count() == 0
    reading = tab.locator(".reading").inner_text()
    tab.get_by_label("Smoothing").select_option("much")
    assert tab.locator(".raw").count() == 1
    assert tab.locator(".reading").inner_text() == reading
    assert "~smooth=much" in tab.evaluate("location.hash")


def test_observations_are_pinned_to_their_epoch(opened: Open):
    tab = opened()
    assert tab.locator(".plot .pin").all_text_contents() == ["✓2"]
    assert tab.locator(".pinned li").count() == 0
    plot = tab.get_by_role("slider", name="Loss")
    plot.focus()
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".pinned li").all_inner_texts() == [
        "✓The loss halved. OBS1", "It is below one. OBS2",
    ]  # fmt: skip
    assert "The loss halved." in plot.get_attribute("aria-valuetext")


def test_the_scrubber_moves_every_histogram(opened: Open):
    tab = opened()
    slider = tab.get_by_role("slider", name="epoch")
    masses = tab.locator(".mass")
    last = masses.nth(0).get_attribute("d")
    assert slider.get_attribute("aria-valuetext") == "epoch 2"
    assert "from -2 to 4" in tab.locator(".panels li").nth(0).inner_text()
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    assert masses.nth(0).get_attribute("d") == ""
    assert "not measured here" in tab.locator(".panels li").nth(0).inner_text()
    tab.keyboard.press("ArrowLeft")
    first = masses.nth(0).get_attribute("d")
    assert first not in ("", last)
    assert "NaN" not in tab.locator(".panels").inner_html()
    tab.get_by_text("The ranges as a table").click()
    assert "-2 to 4, mean -0.2" in tab.locator(".distributions tbody").inner_text()


def test_tabs_by_keyboard_and_a_stage_inside_of_one(opened: Open):
    tab = opened("#prediction/b-1")
    assert tab.get_by_role("tab", selected=True).inner_text() == "Sample b"
    assert "b 1" in tab.locator(".halves .stage h3").inner_text()
    tab.get_by_role("tab", selected=True).focus()
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("tab", selected=True).inner_text() == "Sample c"
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("tab", selected=True).inner_text() == "Sample a"
    tab.keyboard.press("End")
    assert "tab=c" in tab.evaluate("location.hash")
    assert tab.get_by_role("tabpanel").count() == 1


def test_the_address_alone_brings_everything_back(opened: Open):
    tab = opened()
    tab.get_by_role("button", name="Log scale").click()
    tab.get_by_label("Smoothing").select_option("some")
    slider = tab.get_by_role("slider", name="epoch")
    slider.focus()
    tab.keyboard.press("Home")
    tab.get_by_role("tab", name="Sample c").click()
    again = opened(tab.evaluate("location.hash"))
    assert again.get_by_role("button", name="Log scale").get_attribute("aria-pressed") == "true"
    assert again.get_by_label("Smoothing").input_value() == "some"
    assert again.get_by_role("slider", name="epoch").input_value() == "0"
    assert again.get_by_role("tab", selected=True).inner_text() == "Sample c"
    again.evaluate("location.hash = '#training'")
    again.wait_for_timeout(100)
    assert again.get_by_role("button", name="Log scale").get_attribute("aria-pressed") == "false"
    assert again.get_by_role("tab", selected=True).inner_text() == "Sample a"


def test_the_keys_of_stages_work_wherever_in_their_section_the_keyboard_is(opened: Open):
    tab = opened()
    tab.keyboard.press("j")
    tab.get_by_role("link", name="Prediction").click()
    assert tab.evaluate("document.activeElement.tagName") == "H2"
    tab.keyboard.press("j")
    assert "a 1" in tab.locator(".halves .stage h3").inner_text()
    tab.get_by_role("tab", name="Sample b").click()
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert "b 2" in tab.locator(".halves .stage h3").inner_text()


def test_a_stage_is_kept_when_the_reader_goes_on(opened: Open):
    tab = opened("#prediction")
    tab.keyboard.press("j")
    tab.get_by_role("link", name="Training").click()
    tab.get_by_role("button", name="Log scale").click()
    again = opened(tab.evaluate("location.hash"))
    assert again.get_by_role("button", name="Log scale").get_attribute("aria-pressed") == "true"
    again.get_by_role("link", name="Prediction").click()
    assert "a 1" in again.locator(".halves .stage h3").inner_text()


def test_on_paper_every_tab_and_table_is_written_out(opened: Open):
    tab = opened()
    tab.emulate_media(media="print")
    tab.wait_for_selector(".paper")
    shown = tab.locator("main").inner_text()
    for name in ("a 0", "b 1", "c 2", "Sample b", "0.00390"):
        assert name in shown
    assert tab.locator("button:visible, input:visible, select:visible").count() == 0
    tab.emulate_media(media="screen")
    tab.wait_for_selector(".paper", state="detached")


def test_a_page_that_grows_draws_again_only_what_changed(browser: Any):
    tab = browser.new_page()
    tab.set_content("<div id='el'></div>")
    tab.add_script_tag(
        content=html.module().replace("export default", "window.viewer ="), type="module"
    )
    tab.wait_for_function("window.viewer")
    longer = blocks.Chart(title="Loss", x_label="epoch", y_label="loss", x=(1.0, 2.0),
                          lines=(blocks.Line(label="loop", values=(2.0, 1.0)),))  # fmt: skip
    first = Page(title="t", subtitle="running", sections=(
        Section(id="training", title="One", blocks=(blocks.Text(text="same"), CHART)),
        Section(id="prediction", title="Prediction", blocks=(TABS,)),
    ))  # fmt: skip
    second = Page(title="t", subtitle="finished", sections=(
        Section(id="new", title="New", blocks=(blocks.Text(text="a new section"),)),
        Section(id="training", title="Two", blocks=(blocks.Text(text="same"), longer)),
        first.sections[1],
    ))  # fmt: skip
    found = tab.evaluate(
        """([first, second]) => {
            let page = first, change;
            const model = { get: (name) => (name === "page" ? page : undefined),
                            on: (name, call) => (change = call), off: () => {} };
            const el = document.getElementById("el");
            window.viewer.render({ model, el });
            const stands = [...el.querySelectorAll(".is-text, .is-tabs")];
            const chart = el.querySelector(".is-chart figure");
            el.querySelectorAll("[role=tab]")[2].click();
            el.querySelectorAll("[role=tab]")[2].focus();
            page = second;
            change();
            return {
                stands: stands.map((each) => el.contains(each)),
                redrawn: !el.contains(chart),
                sections: [...el.querySelectorAll("h2")].map((each) => each.textContent),
                links: [...el.querySelectorAll("nav li")].map((each) => each.textContent),
                subtitle: el.querySelector(".subtitle").textContent,
                focus: document.activeElement.textContent,
                tab: el.querySelector("[role=tab][aria-selected=true]").textContent,
            };
        }""",
        [json.loads(data.render(page)) for page in (first, second)],
    )
    assert found == {
        "stands": [True, True], "redrawn": True, "sections": ["New", "Two", "Prediction"],
        "links": ["New", "Two", "Prediction"], "subtitle": "finished", "focus": "Sample c",
        "tab": "Sample c",
    }  # fmt: skip
    tab.close()
