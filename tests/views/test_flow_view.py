"""The flow of stages beside its source: lines, filter, views of values, and running again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pipetrace import blocks
from pipetrace.blocks import Page, Section, Spot, Stage, Strip
from pipetrace.views import data, html

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

MODEL = "\n".join(
    ["class Net(nn.Module):", "    def __init__(self):"]
    + ["        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())  # <b>two</b>"]
    + ["        self.drop = nn.Dropout(0.5)"]
    + [f"    # line {number}" for number in range(5, 80)]
    + ["    def forward(self, x):", "        x = self.body(x)", "        return self.drop(x)"]
)
TRAIN = "from model import Net\n\nloss = Net()(x).sum()"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VALUES = tuple(float(value) for value in (-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4))
STRUCK = (False, True, *(False,) * 7, True)
GREY = bytes(range(0, 96, 8))


def spots(made: int, called: int) -> tuple[Spot, ...]:
    roles = ((made, "made"), (called, "called"))
    return tuple(Spot(file="model.py", line=line, role=role, text="x") for line, role in roles)


FLOW = blocks.Flow(
    stages=(
        Stage(
            id="input", name="Input", shape="8 × 4",
            pictures=(
                blocks.Picture(label="row 0", width=4, height=3, channels=1, note="0 is black",
                               pixels=base64.b64encode(GREY).decode()),
                blocks.Picture(label="row 1", width=1, height=2, channels=3,
                               pixels=base64.b64encode(bytes((255, 0, 0, 0, 0, 255))).decode()),
                blocks.Picture(label="row 2", width=9, height=9, channels=1, pixels="AAAA"),
            ),
            tokens=(blocks.Tokens(label="ids", ids=(7, 8, 9), texts=("a b", "\n", ""), total=64),),
        ),
        Stage(
            id="body", name="Sequential", words="Module `body`: 2 operations.",
            stages=(
                Stage(id="linear", name="Linear", shape="8 × 4 → 8 × 4", spots=spots(3, 81),
                      facts=(blocks.Fact(label="module", value="`body.0` (Linear)"),)),
                Stage(id="relu", name="ReLU", spots=spots(3, 81)),
            ),
        ),
        Stage(
            id="drop", name="Dropout", mode="train mode", spots=spots(4, 82),
            again="drop", rate=0.5,
            strips=(Strip(label="in", values=VALUES, struck=STRUCK, total=64),
                    Strip(label="out", values=(float("nan"), 1.0))),
            facts=(
                blocks.Fact(label="output", value="mean 1", note="exact, over 32 values"),
                blocks.Fact(label="gradient", value="mean 2", note="sampled, 9 of 32 values"),
                blocks.Fact(label="zeros", value="~3"),
                blocks.Fact(label="plain", value="4", note="one number"),
            ),
        ),
        *(Stage(id=f"other{number}", name=f"Other {number}") for number in range(2)),
        Stage(id="far", name="Other far", spots=spots(82, 82)[:1]),
        Stage(id="loss", name="Loss", spots=(Spot(file="train.py", line=3, role="called"),)),
    ),
    sources=(
        blocks.Code(text=MODEL, path="model.py"), blocks.Code(text=TRAIN, path="train.py"),
        blocks.Code(text="late()", path="train.py", first=90),
    ),
)  # fmt: skip


def page_of(*parts: blocks.AnyBlock) -> Page:
    section = Section(id="flow", title="Data flow", blocks=parts)
    return Page(title="t", subtitle="s", sections=(section,))


def arrive(tab: Any) -> None:
    tab.wait_for_function("document.activeElement.tagName === 'H2'")


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the flow at a hash; anything in the console fails the test."""
    noise: list[str] = []
    tabs: list[Any] = []
    path = tmp_path / "page.html"
    html.write(page_of(FLOW), path)

    def open_page(hash: str = "#flow/drop", width: int = 1280, scheme: str = "light") -> Any:
        tab = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tabs.append(tab)
        tab.goto(path.as_uri() + hash)
        arrive(tab)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert noise == []


HOST = """({ page, failing }) => {
  let current = page;
  window.asked = [];
  const act = async (name, given) => {
    window.asked.push([name, given]);
    if (failing) throw new Error("p must be <b>smaller</b>");
    return [{ block: "text", text: "it came back" }];
  };
  const on = (name, call) => (window.renew = (next) => { current = next; call(); });
  const model = { get: (name) => (name === "page" ? current : undefined), on, act };
  window.viewer.render({ model, el: document.getElementById("el") });
}"""
VIEWER = html.module().replace("export default", "window.viewer =")


@pytest.fixture
def hosted(browser: Any) -> Iterator[Open]:
    """Open a flow in a page whose host answers actions."""
    tabs: list[Any] = []

    def open_page(flow: blocks.Flow = FLOW, failing: bool = False) -> Any:
        tabs.append(tab := browser.new_page())
        tab.set_content(f"<style>{html.style()}</style><div id='el'></div>")
        tab.add_script_tag(content=VIEWER, type="module")
        tab.wait_for_function("window.viewer")
        tab.evaluate(HOST, {"page": data.plain(page_of(flow)), "failing": failing})
        return tab

    yield open_page
    for tab in tabs:
        tab.close()


def heading(tab: Any) -> str:
    return tab.locator(".halves .stage h3").inner_text().split("\n")[1]


def signs(tab: Any) -> dict[str, str]:
    """Return what stands before each marked line."""
    found = "all => all.map(one => [one.dataset.line, one.dataset.sign])"
    return dict(tab.locator(".lines .marked").evaluate_all(found))


def within(tab: Any, line: str) -> bool:
    """Tell whether a line is in sight in its pane."""
    pane, box = tab.locator(".lines").bounding_box(), tab.locator(line).bounding_box()
    return pane["y"] <= box["y"] <= pane["y"] + pane["height"] - 24


def test_the_lines_of_a_stage_are_marked_and_told_apart(opened: Open):
    tab = opened("#flow/linear")
    assert signs(tab) == {"3": "◆ made", "81": "▸ called"}
    assert tab.locator(".lines [aria-current]").count() == 2
    before = tab.evaluate("scrollY")
    tab.get_by_role("tree").focus()
    tab.keyboard.type("jj")
    assert signs(tab) == {"4": "◆ made", "82": "▸ called"}
    assert tab.evaluate("scrollY") == before
    assert within(tab, "[data-line='4']")
    assert tab.locator(".lines b").count() == 0
    tab.get_by_role("button", name="model.py:82").click()
    assert tab.evaluate("document.activeElement.dataset.line") == "82"
    assert within(tab, "[data-line='82']")
    assert not within(tab, "[data-line='4']")


def test_a_stage_of_another_file_shows_that_file(opened: Open):
    tab = opened("#flow/far")
    assert within(tab, "[data-line='82']")
    tab = opened("#flow/loss")
    assert tab.get_by_label("File").evaluate("one => one.selectedOptions[0].text") == "train.py"
    assert signs(tab) == {"3": "▸ called"}
    lines = tab.locator(".lines .code-line").evaluate_all("all => all.map(one => one.dataset.line)")
    assert lines == ["1", "2", "3", "⋯", "90"]
    assert "86 lines" in tab.locator(".lines").inner_text()
    tab.get_by_label("File").select_option(label="model.py")
    assert heading(tab) == "Loss"
    assert "No line of this file" in tab.locator(".beside").get_by_role("status").inner_text()


def test_a_line_selects_its_stages_one_after_the_other(opened: Open):
    tab = opened("#flow/drop")
    line = tab.get_by_role("button", name="nn.Sequential")
    assert line.get_attribute("title") == "line 3 made 2 stages"
    line.click()
    said = tab.locator(".beside").get_by_role("status")
    assert (heading(tab), said.inner_text()) == ("Linear", "Line 3 made 2 stages; this is 1 of 2.")
    assert tab.evaluate("location.hash").startswith("#flow/linear")
    line.press("Enter")
    assert (heading(tab), said.inner_text()) == ("ReLU", "Line 3 made 2 stages; this is 2 of 2.")
    line.press(" ")
    assert heading(tab) == "Linear"
    stops = tab.locator(".lines button[tabindex='0']")
    for key, number in (("ArrowDown", "4"), ("End", "82"), ("ArrowUp", "81"), ("Home", "3")):
        tab.keyboard.press(key)
        assert tab.evaluate("document.activeElement.dataset.line") == number
        assert within(tab, f"[data-line='{number}']")
        assert stops.count() == 1


def test_stepping_moves_marks_and_builds_no_line_again(opened: Open):
    tab = opened("#flow/linear")
    tab.evaluate("document.querySelectorAll('.lines .code-line').forEach(one => one.seen = true)")
    for _ in range(2):
        tab.get_by_role("button", name="Next →").click()
    new = tab.evaluate("[...document.querySelectorAll('.lines .code-line')].filter(o => !o.seen)")
    assert (heading(tab), new) == ("Dropout", [])


def test_the_filter_keeps_what_matches_and_what_stands_over_it(opened: Open):
    tab = opened("#flow/drop")
    tab.get_by_role("tree").focus()
    tab.keyboard.press("/")
    search = tab.get_by_role("searchbox", name="Find")
    expect(search).to_be_focused()
    tab.keyboard.type("8x4→")
    rows = tab.get_by_role("treeitem")
    found = tab.locator(".find").get_by_role("status")
    assert [rows.nth(at).locator(".name").inner_text() for at in range(rows.count())] == [
        "Sequential", "Linear",
    ]  # fmt: skip
    assert found.inner_text() == "1 of 9 stages match"
    assert (heading(tab), rows.first.get_attribute("aria-expanded")) == ("Dropout", "true")
    tab.keyboard.press("Enter")
    assert heading(tab) == "Linear"
    tab.get_by_role("tree").focus()
    assert "flow.flow~find=8x4" in tab.evaluate("location.hash")
    tab.reload()
    arrive(tab)
    assert (rows.count(), heading(tab), search.input_value()) == (2, "Linear", "8x4→")
    tab.get_by_role("button", name="self.drop = nn.Dropout").click()
    assert (rows.count(), heading(tab), search.input_value()) == (9, "Dropout", "")
    assert "find" not in tab.evaluate("location.hash")
    for text, count in (("train mode", 1), ("body.0", 1), ("other", 3), ("nothing of this", 0)):
        search.fill(text)
        assert found.inner_text() == f"{count} of 9 stages match"
    tab.keyboard.press("Escape")
    assert (rows.count(), search.input_value(), found.inner_text()) == (9, "", "")


def test_what_a_filter_hides_has_neighbours(opened: Open):
    tab = opened("#flow/drop")
    tab.get_by_role("searchbox", name="Find").fill("line")
    names = tab.get_by_role("treeitem").locator(".name").all_inner_texts()
    assert names == ["Sequential", "Linear"]
    assert tab.get_by_role("status").first.inner_text() == "Not among the 2 shown"
    assert tab.get_by_role("tree").get_attribute("aria-activedescendant") is None
    tab.get_by_role("button", name="← Previous").click()
    assert heading(tab) == "Linear"


def test_heat_strips_are_read_one_value_at_a_time(opened: Open):
    tab = opened("#flow/drop")
    tab.get_by_role("radio", name="Heat strips").check()
    assert "flow.flow~view=heat" in tab.evaluate("location.hash")
    strip = tab.get_by_role("slider", name="in")
    strip.focus()
    assert strip.get_attribute("aria-valuetext") == "value 1 of 10: -2"
    strip.press("ArrowRight")
    assert strip.get_attribute("aria-valuetext") == "value 2 of 10: -1, dropped"
    assert tab.locator(".strip").first.get_by_text("value 2 of 10: -1, dropped").is_visible()
    strip.press("End")
    assert strip.get_attribute("aria-valuenow") == "10"
    strip.locator(".cell").nth(8).hover()
    assert strip.get_attribute("aria-valuetext") == "value 9 of 10: 3"
    assert strip.locator(".cell").all_inner_texts() == ["×" if gone else "" for gone in STRUCK]
    colours = strip.locator(".cell").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    assert len({colours[at] for at in (3, 4, 8)}) == 3
    assert tab.get_by_role("slider", name="out").locator(".cell").all_inner_texts() == ["!", ""]
    assert "-4" in tab.locator(".scale").first.inner_text()
    tab.reload()
    arrive(tab)
    assert tab.get_by_role("radio", name="Heat strips").is_checked()
    tab.get_by_role("radio", name="Numbers").check()
    assert "view" not in tab.evaluate("location.hash")


def test_histograms_count_every_value_that_is_shown(opened: Open):
    tab = opened("#flow/drop?flow.flow~view=histogram")
    head = tab.locator(".strip-head").first.inner_text()
    assert head == "in histogram of the 10 values shown of 64, computed here, 2 dropped, hatched"
    strip = tab.get_by_role("slider", name="in")
    said = []
    for key in ("Home", *["ArrowRight"] * 4):
        strip.press(key)
        said.append(strip.get_attribute("aria-valuetext"))
    assert said == [
        "-2 to -0.8: 2 values, 1 of them dropped", "-0.8 to 0.4: 2 values", "0.4 to 1.6: 3 values",
        "1.6 to 2.8: 1 value", "2.8 to 4: 2 values, 1 of them dropped",
    ]  # fmt: skip
    assert "1 not finite and left out" in tab.locator(".strip-head").nth(1).inner_text()
    assert (
        tab.get_by_role("slider", name="out").get_attribute("aria-valuetext") == "1 to 1: 1 value"
    )


def test_an_input_is_shown_as_what_it_is(opened: Open):
    tab = opened("#flow/input")
    grey = tab.get_by_role("img", name="row 0: 4 × 3 pixels, grey")
    pixels = grey.evaluate("one => [...one.getContext('2d').getImageData(0, 0, 4, 3).data]")
    assert pixels[::4] == pixels[1::4] == pixels[2::4] == list(GREY)
    assert set(pixels[3::4]) == {255}
    assert grey.bounding_box()["width"] == pytest.approx(160, abs=3)
    assert grey.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    coloured = tab.get_by_role("img", name="row 1: 1 × 2 pixels, in colour")
    pixels = coloured.evaluate("one => [...one.getContext('2d').getImageData(0, 0, 1, 2).data]")
    assert pixels == [255, 0, 0, 255, 0, 0, 255, 255]
    shown = tab.locator(".stage").inner_text()
    assert "0 is black" in shown
    assert "The pixels of row 2 do not fit its size." in shown
    chips = tab.get_by_role("list", name="ids").locator("li").all_inner_texts()
    assert [chip.split() for chip in chips] == [["a·b", "7"], ["⏎", "8"], ["9"]]
    assert "3 of 64 tokens" in shown


def test_exact_is_told_from_sampled(opened: Open):
    tab = opened("#flow/drop")
    facts = tab.locator(".stage .facts > div").evaluate_all(
        "all => all.map(one => [one.querySelector('dt').textContent,"
        " one.querySelector('.badge')?.textContent ?? '', one.querySelector('.note')?.textContent])"
    )
    assert facts == [
        ["output", "exact", "over 32 values"], ["gradient", "sampled", "9 of 32 values"],
        ["zeros", "approximate", None], ["plain", "", "one number"],
    ]  # fmt: skip


def test_folds_are_kept_in_the_address(opened: Open):
    tab = opened("#flow/drop")
    row = tab.get_by_role("treeitem", name="Sequential")
    row.locator(".fold").click()
    assert row.get_attribute("aria-expanded") == "false"
    assert "flow.flow~open=none" in tab.evaluate("location.hash")
    tab.reload()
    arrive(tab)
    assert tab.get_by_role("treeitem").count() == 7
    tab.get_by_role("button", name="Unfold all").click()
    assert "flow.flow~open=all" in tab.evaluate("location.hash")
    tab.evaluate("location.hash = '#flow/drop?flow.flow~open=none&flow.flow~view=heat'")
    expect(tab.get_by_role("treeitem")).to_have_count(7)
    assert tab.get_by_role("radio", name="Heat strips").is_checked()


def test_without_a_live_process_nothing_offers_to_run_again(opened: Open):
    assert opened("#flow/drop").locator("form").count() == 0


def test_a_layer_is_run_again_by_the_host(hosted: Open):
    tab = hosted()
    tab.get_by_role("treeitem", name="Dropout").click()
    tab.locator(".rerun select").select_option("eval")
    tab.get_by_label("p", exact=True).fill("0.25")
    tab.get_by_label("seed").fill("3")
    tab.get_by_role("button", name="Run this layer again").click()
    expect(tab.get_by_text("it came back")).to_be_visible()
    given = {"again": "drop", "p": 0.25, "training": False, "seed": 3}
    assert tab.evaluate("window.asked") == [["rerun", given]]
    tab.get_by_role("button", name="Next →").click()
    assert tab.get_by_text("it came back").count() == 0
    tab.get_by_role("button", name="← Previous").click()
    assert tab.get_by_text("it came back").is_visible()
    assert tab.get_by_label("seed").input_value() == "3"
    tab.get_by_label("p", exact=True).fill("1.5")
    tab.get_by_role("button", name="Run this layer again").click()
    assert len(tab.evaluate("window.asked")) == 1


def test_a_rerun_that_fails_says_why(hosted: Open):
    tab = hosted(failing=True)
    tab.get_by_role("treeitem", name="Dropout").click()
    tab.get_by_role("button", name="Run this layer again").click()
    status = tab.locator(".rerun").get_by_role("status")
    expect(status).to_have_text("✗p must be <b>smaller</b>")
    assert tab.evaluate("window.asked[0][1].training") is None


def test_a_page_that_grows_keeps_what_the_reader_chose(hosted: Open):
    tab = hosted()
    tab.get_by_role("treeitem", name="Dropout").click()
    tab.get_by_role("radio", name="Histograms").check()
    tab.get_by_role("treeitem", name="Sequential").locator(".fold").click()
    tab.get_by_role("searchbox", name="Find").fill("d")
    first = Stage(id="first", name="Prepared")
    grown = msgspec.structs.replace(FLOW, stages=(first, *FLOW.stages))
    tab.evaluate("page => window.renew(page)", data.plain(page_of(grown)))
    assert heading(tab) == "Dropout"
    assert tab.get_by_role("searchbox", name="Find").input_value() == "d"
    assert tab.get_by_role("radio", name="Histograms").is_checked()
    assert "of 10 stages match" in tab.locator(".find").get_by_role("status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280, 1800])
def test_every_state_can_be_used_by_everybody(opened: Open, scheme: str, width: int):
    for state in ("input", "drop", "drop?{}view=heat", "drop?{}view=histogram", "linear?{}find=l"):
        place = f"#flow/{state.format('flow.flow~')}"
        tab = opened(place, width=width, scheme=scheme)
        assert Axe().run(tab, options={"runOnly": RULES}).response["violations"] == [], place
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_texts_of_a_flow_stay_text(browser: Any, tmp_path: Path, poisoned: Any):
    noise: list[str] = []
    flow = poisoned(msgspec.structs.replace(FLOW, stages=(FLOW.stages[2], *FLOW.stages)))
    html.write(page_of(flow), tmp_path / "page.html")
    tab = browser.new_page(viewport={"width": 320, "height": 900})
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.goto((tmp_path / "page.html").as_uri())
    for view in ("Heat strips", "Histograms", "Numbers"):
        tab.get_by_role("radio", name=view).check()
    tab.get_by_role("button", name="Next →").click()
    assert tab.locator(".crash, .lines script, .stage img, .stage script").count() == 0
    assert tab.evaluate("window.broken") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    written = tab.locator(".flow").evaluate(
        "one => one.textContent + [one, ...one.querySelectorAll('*')]"
        ".flatMap(each => [...each.attributes].map(own => own.value)).join('')"
    )
    assert not set(written) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ufeff")
    tab.close()
    assert noise == []


def test_the_paper_has_values_as_numbers_and_nothing_to_press(opened: Open):
    tab = opened("#flow/drop?flow.flow~view=heat&flow.flow~find=l")
    tab.emulate_media(media="print")
    expect(tab.locator(".paper .stage h3")).to_have_count(9)
    assert tab.locator(".paper .cells li").count() == len(VALUES) + 2
    assert tab.locator(".paper button, .paper input, .beside:visible").count() == 0
