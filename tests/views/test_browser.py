"""The page in a real Chromium: offline, by keyboard, in both themes, narrow and printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import data, demo, html, notebook, text

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page from its file; anything in the console or over the network fails the test."""
    contexts: list[Any] = []
    noise: list[str] = []
    asked: list[str] = []

    def open_page(page: Page, hash: str = "", width: int = 1280, scheme: str = "light") -> Any:
        path = tmp_path / "page.html"
        html.write(page, path)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri() + hash)
        tab.wait_for_selector("main")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []
    assert {url.partition("#")[0].rpartition("/")[2] for url in asked} == {"page.html"}
    assert all(url.startswith("file://") for url in asked)


def settle(tab: Any) -> None:
    """Wait until the page has noticed a scroll."""
    tab.wait_for_timeout(600)


def test_every_section_and_block_is_there(opened: Open, page: Page):
    tab = opened(page)
    assert tab.title() == page.title
    assert tab.locator("h1").inner_text() == page.title
    assert tab.locator("section h2").all_text_contents() == [s.title for s in page.sections]
    kinds = tab.locator(".block").evaluate_all("all => all.map(one => one.className)")
    assert kinds == [
        f"block is-{type(value).__name__.lower()}" for s in page.sections for value in s.blocks
    ]
    assert tab.locator(".crash").count() == 1
    crash = tab.locator(".crash").text_content()
    assert "A section could not be made" in crash
    assert "KeyError: 'loss'" in crash


def test_names_and_roles(opened: Open, page: Page):
    tab = opened(page)
    for role, name in (
        ("navigation", "Sections"),
        ("tree", "Data flow, 5 stages"),
        ("slider", "Loss"),
        ("button", "← Previous"),
        ("button", "Next →"),
        ("heading", "Quiz, 2 questions"),
        ("radio", "D 0.7143"),
        ("group", "Loss at the end of each epoch"),
        ("group", "train.py"),
    ):
        assert tab.get_by_role(role, name=name).count() == 1, (role, name)
    assert tab.get_by_role("group").filter(has_text="What does this print?").count() >= 1
    assert tab.get_by_role("treeitem").count() == 7
    assert tab.locator("main").count() == 1
    levels = tab.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => +one.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = tab.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    small = tab.locator("button:visible, summary:visible, .fold, nav a:visible").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 24)"
        ".map(one => one.textContent)"
    )
    assert small == []


def test_j_and_k_walk_through_the_stages(opened: Open, page: Page):
    tab = opened(page)
    tab.get_by_role("tree").focus()
    heading = tab.locator(".halves .stage h3")
    seen = [heading.inner_text()]
    for _ in range(3):
        tab.keyboard.press("j")
        seen.append(heading.inner_text())
    assert [name.split("\n")[1] for name in seen] == [
        "Input", "Dropout(0.3)", "Sequential", "Linear(20, 10)",
    ]  # fmt: skip
    tab.keyboard.press("k")
    assert "Sequential" in heading.inner_text()
    assert tab.get_by_role("treeitem", selected=True).count() == 1
    tab.keyboard.press("ArrowLeft")
    assert tab.get_by_role("treeitem").count() == 5
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("treeitem").count() == 7
    tab.keyboard.press("End")
    assert "Softmax" in heading.inner_text()
    tab.get_by_role("button", name="← Previous").click()
    assert "Linear(10, 3)" in heading.inner_text()
    assert tab.get_by_role("status").first.inner_text() == "Stage 6 of 7"


def test_dropped_values_are_struck_and_said(opened: Open, page: Page):
    tab = opened(page, "#flow/0")
    flow = page.sections[1].blocks[0]
    assert isinstance(flow, blocks.Flow)
    strip = flow.stages[1].strips[1]
    cells = tab.get_by_role("list", name="out").locator("li")
    assert cells.count() == len(strip.values)
    for index, (value, struck) in enumerate(zip(strip.values, strip.struck, strict=True)):
        shown = cells.nth(index)
        assert shown.locator("s").count() == int(struck)
        assert shown.text_content() == text.number(value) + (" dropped" if struck else "")


def test_the_address_keeps_section_and_stage(opened: Open, page: Page):
    tab = opened(page)
    tab.get_by_role("link", name="Data flow, 5 stages").click()
    assert tab.evaluate("location.hash") == "#flow"
    tab.get_by_role("treeitem", name="ReLU()").click()
    assert tab.evaluate("location.hash").startswith("#flow/head.relu")
    tab.reload()
    settle(tab)
    assert "ReLU()" in tab.locator(".halves .stage h3").inner_text()
    assert tab.locator("nav a[aria-current]").inner_text() == "Data flow, 5 stages"
    top = tab.get_by_role("heading", name="Data flow, 5 stages").bounding_box()["y"]
    assert 0 <= top < 300


def test_a_deep_link_opens_and_scrolling_is_noted(opened: Open, page: Page):
    tab = opened(page, "#flow/head.linear")
    settle(tab)
    assert "Linear(20, 10)" in tab.locator(".halves .stage h3").inner_text()
    tab.get_by_role("heading", name="Training trace").scroll_into_view_if_needed()
    tab.mouse.wheel(0, 700)
    settle(tab)
    assert tab.evaluate("location.hash") == "#training"
    assert tab.locator("nav a[aria-current]").inner_text() == "Training trace"


def test_an_unknown_address_shows_the_page(opened: Open, page: Page):
    tab = opened(page, "#%E0%A4/nowhere")
    assert tab.locator("section").count() == len(page.sections)


def test_a_question_is_graded_by_keyboard_alone(opened: Open, page: Page):
    tab = opened(page, "#quiz")
    settle(tab)
    assert tab.locator("section", has_text="Quiz, 2").locator(".feedback:visible").count() == 0
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Hint"
    tab.keyboard.press("Enter")
    assert tab.get_by_text("The expected value stays the same.").is_visible()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    question = tab.locator(".question").first
    assert question.get_by_role("status").inner_text() == "✗ C is not right."
    assert question.locator(".option.wrong").inner_text().startswith("C")
    assert question.locator(".option.right").inner_text().startswith("D")
    shown = question.inner_text()
    for words in ("0.5 × 0.7 shrinks", "Solution", "Final answer: 0.7143", "Quick check:",
                  "Common mistakes"):  # fmt: skip
        assert words in shown
    assert "0 of 1 right" in tab.locator(".score").inner_text()
    tab.keyboard.press("Enter")
    assert question.locator(".option.wrong").count() == 0
    tab.get_by_role("radio", name="A four ones").check()
    tab.locator(".question").nth(1).get_by_role("button", name="Check").click()
    assert "1 of 2 right" in tab.locator(".score").inner_text()
    assert tab.locator(".tally:not(:empty)").inner_text() == "1/2"


def test_the_chart_is_read_by_keyboard_and_as_a_table(opened: Open, page: Page):
    tab = opened(page)
    slider = tab.get_by_role("slider", name="Loss")
    slider.focus()
    tab.keyboard.press("Home")
    said = slider.get_attribute("aria-valuetext")
    chart = next(b for s in page.sections for b in s.blocks if isinstance(b, blocks.Chart))
    first = [text.number(line.values[0]) for line in chart.lines]
    assert said == f"epoch 1: dropout on {first[0]}, dropout off {first[1]}, held out {first[2]}"
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert "held out not measured" in slider.get_attribute("aria-valuetext")
    tab.get_by_text("The values as a table").click()
    expect(tab.locator(".data tbody tr")).to_have_count(len(chart.x))
    rows = tab.locator(".data tbody tr").all_inner_texts()
    assert rows[3].split("\t")[-1] == "not measured"
    curve = tab.locator(".plot .curve").nth(2).get_attribute("d")
    assert curve.count("M") == 2
    assert tab.locator(".plot .curve").nth(1).get_attribute("stroke-dasharray")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes(opened: Open, page: Page, scheme: str):
    tab = opened(page, scheme=scheme)
    ground = tab.locator(".pipetrace").evaluate("one => getComputedStyle(one).backgroundColor")
    parts = [int(part) for part in ground.strip("rgb()").split(",")]
    assert (min(parts) > 200) if scheme == "light" else (max(parts) < 60)


@pytest.mark.parametrize("width", [320, 480, 768, 1024])
def test_nothing_scrolls_sideways(opened: Open, page: Page, width: int):
    tab = opened(page, "#flow/0", width=width)
    tab.locator("details").evaluate_all("all => all.forEach(one => (one.open = true))")
    for question in tab.locator(".question").all():
        question.get_by_role("radio").first.check()
        question.get_by_role("button", name="Check").click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    if width == 320:
        tab.get_by_role("button", name="☰ Sections").click()
        assert tab.get_by_role("link", name="Prediction").is_visible()
        tab.keyboard.press("Escape")
        assert not tab.get_by_role("link", name="Prediction").is_visible()


def test_hostile_text_runs_nothing(opened: Open, hostile: Page):
    tab = opened(hostile, width=320)
    assert tab.evaluate("window.broken") is None
    assert tab.locator("img, main script, .block a").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert "could not be drawn" not in tab.locator("main").inner_text()
    everything = tab.locator(".pipetrace").text_content()
    assert not set(everything) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ufeff")
    if "<script>" in hostile.title:
        assert tab.locator("h1").inner_text() == hostile.title


def test_ten_thousand_stages_are_drawn_in_a_window(opened: Open, deep: Page):
    tab = opened(deep, "#flow/layer99.98")
    settle(tab)
    assert "Op 98" in tab.locator(".halves .stage h3").inner_text()
    tree = tab.get_by_role("tree").bounding_box()
    row = tab.get_by_role("treeitem", selected=True).bounding_box()
    assert tree["y"] <= row["y"]
    assert row["y"] + row["height"] <= tree["y"] + tree["height"] + 1
    tab.get_by_role("button", name="Fold all").click()
    tab.get_by_role("button", name="Unfold all").click()
    assert tab.locator(".row").count() < 60
    tab.get_by_role("tree").focus()
    tab.keyboard.press("Home")
    assert tab.get_by_role("status").first.inner_text() == "Stage 1 of 10000"
    tab.keyboard.press("End")
    assert tab.get_by_role("treeitem", selected=True).is_visible()
    assert tab.locator(".row").count() < 60


def test_a_failing_block_becomes_red_and_the_rest_stands(opened: Open):
    flow = blocks.Flow(stages=())
    nothing: Any = None
    chart = blocks.Chart(title="t", x_label="x", y_label="y", x=nothing, lines=())
    after = blocks.Text(text="after")
    section = blocks.Section(id="s", title="S", blocks=(flow, chart, after))
    tab = opened(Page(title="t", subtitle="", sections=(section,)))
    assert "could not be drawn" in tab.locator(".crash").inner_text()
    assert tab.get_by_text("after").is_visible()


@pytest.mark.parametrize(
    "values",
    [(float("nan"), None), (float("inf"), 1.0, float("-inf")), (3.0,), (2.0, 2.0), (1e308, -1e308)],
    ids=str,
)
def test_odd_series(opened: Open, values: tuple[float | None, ...]):
    line = blocks.Line(label="loss", values=values)
    chart = blocks.Chart(
        title="t", x_label="x", y_label="y", x=tuple(range(len(values))), lines=(line,)
    )
    section = blocks.Section(id="s", title="S", blocks=(chart,))
    tab = opened(Page(title="t", subtitle="", sections=(section,)))
    assert tab.locator(".crash").count() == 0
    assert "NaN" not in (tab.locator(".plot").inner_html())


def test_numbers_are_written_as_in_the_terminal(opened: Open):
    values = (0.7142857, -0.0, 9999.96, 1.234e-5, 999999.0, 1e6, 12345.6, 1 / 3, -2.5e-4, 1e22,
              float("nan"), float("inf"), float("-inf"))  # fmt: skip
    strip = blocks.Strip(label="all", values=values)
    flow = blocks.Flow(stages=(blocks.Stage(id="0", name="n", strips=(strip,)),))
    section = blocks.Section(id="s", title="S", blocks=(flow,))
    tab = opened(Page(title="t", subtitle="", sections=(section,)))
    assert tab.locator(".cells li").all_inner_texts() == [text.number(value) for value in values]


def test_the_printed_page_has_every_stage_and_the_answers_last(opened: Open, page: Page):
    tab = opened(page)
    assert tab.locator(".keys").count() == 0
    tab.emulate_media(media="print")
    tab.wait_for_selector(".keys")
    assert tab.locator(".paper .stage h3").count() == 7
    assert tab.locator("section h2").last.inner_text() == "Answers"
    assert tab.locator("button:visible, nav:visible").count() == 0
    assert tab.locator("details:not([open]):not(.data)").count() == 0
    assert tab.pdf()[:4] == b"%PDF"
    tab.emulate_media(media="screen")
    tab.wait_for_selector(".keys", state="detached")
    assert tab.locator(".paper").count() == 0
    assert tab.locator("details[open]").count() == 0


def test_the_frame_of_a_notebook_works(browser: Any, page: Page):
    noise: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.set_content(notebook.html(page))
    frame = tab.frame_locator("iframe")
    frame.get_by_role("treeitem", name="ReLU()").click()
    assert "ReLU()" in frame.locator(".halves .stage h3").inner_text()
    frame.get_by_role("link", name="Training trace").click()
    assert noise == []
    tab.close()


def test_the_module_follows_a_model_that_changes(browser: Any):
    """The shape that anywidget expects: one module, `render({ model, el })`."""
    tab = browser.new_page()
    tab.set_content("<div id='el'></div>")
    source = html.module().replace("export default", "window.viewer =")
    tab.add_script_tag(content=source, type="module")
    tab.wait_for_function("window.viewer")
    first = data.plain(demo.page())
    titles = tab.evaluate(
        """(first) => {
            let page = first, change;
            const model = { get: (name) => (name === "page" ? page : undefined),
                            on: (name, call) => (change = call), off: () => (change = null) };
            const el = document.getElementById("el");
            const clear = window.viewer.render({ model, el });
            const before = el.querySelector("h1").textContent;
            page = { ...first, title: "Second" };
            change();
            const after = el.querySelector("h1").textContent;
            clear();
            return [before, after, change, location.hash];
        }""",
        first,
    )
    assert titles == [first["title"], "Second", None, ""]
    tab.close()
