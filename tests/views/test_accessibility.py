"""No violation of WCAG 2.2 AA or of axe's best practices: every section, state and theme."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipetrace.blocks import Page
from pipetrace.views import demo, html
from views import axe

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the demo page, and the page of the built-in example's run."""
    folder = tmp_path_factory.mktemp("pages")
    html.write(demo.page(), folder / "demo.html")
    command = [sys.executable, "-m", "pipetrace", "run", "--quiet", "--name", "seed",
               "--out", str(folder)]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {path.stem: path for path in folder.glob("*.html")}


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    """Open one of the pages; what it writes to the console fails the test."""
    contexts: list[Any] = []
    noise: list[str] = []

    def open_page(name: str, width: int = 1280, **settings: str) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce", **settings
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.goto(pages[name].as_uri())
        tab.wait_for_selector("main")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


def open_all(tab: Any) -> None:
    """Open what is folded, and answer every question."""
    tab.locator("details").evaluate_all("all => all.forEach(one => (one.open = true))")
    for question in tab.locator(".question").all():
        question.get_by_role("radio").first.check()
        question.get_by_role("button", name="Check").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["demo", "seed"])
def test_every_state_of_every_section(opened: Open, name: str, scheme: str):
    tab = opened(name, color_scheme=scheme)
    assert axe.problems(tab) == []
    wrong: dict[str, list[str]] = {}
    tried = []
    for kind in axe.states(tab):
        tried.append(kind)
        found = axe.problems(tab, "[data-place]")
        if found:
            wrong[kind] = found
    assert wrong == {}
    parts = ["treeitem", "radio", "Check", "Next", "SUMMARY", "slider"]
    for part in [*parts, *(["tab", "Unfold all"] if name == "demo" else [])]:
        assert any(part in kind for kind in tried), part
    assert axe.problems(tab) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["demo", "seed"])
def test_answers_right_and_wrong(opened: Open, name: str, scheme: str):
    tab = opened(name, color_scheme=scheme)
    seen = set()
    for question in tab.locator(".question").all():
        for radio in question.get_by_role("radio").all():
            radio.check()
            question.get_by_role("button", name="Check").click()
            verdict = question.get_by_role("status").inner_text()[:1]
            if verdict not in seen:
                seen.add(verdict)
                question.evaluate("one => one.setAttribute('data-now', '')")
                assert axe.problems(tab, "[data-now]") == []
                question.evaluate("one => one.removeAttribute('data-now')")
            if seen >= {"✓", "✗"}:
                return
            question.get_by_role("button", name="Try again").click()
    raise AssertionError(f"only {seen}")


@pytest.mark.parametrize("name", ["demo", "seed"])
def test_a_narrow_screen(opened: Open, name: str):
    tab = opened(name, width=320)
    tab.get_by_role("button", name="☰ Sections").click()
    assert axe.problems(tab) == []
    tab.keyboard.press("Escape")
    open_all(tab)
    assert axe.problems(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("name", ["demo", "seed"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours(opened: Open, name: str, scheme: str):
    tab = opened(name, forced_colors="active", color_scheme=scheme)
    open_all(tab)
    assert axe.problems(tab, forced=True) == []


@pytest.mark.parametrize("name", ["demo", "seed"])
def test_paper(opened: Open, name: str):
    tab = opened(name, color_scheme="dark")
    tab.emulate_media(media="print")
    tab.wait_for_selector(".keys")
    assert axe.problems(tab) == []
    shown = tab.locator("main :is(button, select, input:not([type=radio])):visible")
    assert shown.evaluate_all("all => all.map(one => one.outerHTML.slice(0, 80))") == []
    assert tab.locator("nav:visible, [role=tablist]:visible").count() == 0
    assert tab.locator("details:not([open]):not(.data)").count() == 0
    assert tab.locator("section h2").last.inner_text() == "Answers"
    ground = tab.locator(".pipetrace").evaluate("one => getComputedStyle(one).backgroundColor")
    assert ground in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")


def test_the_contrast_that_is_computed_is_right(opened: Open, page: Page):
    tab = opened("demo")
    tab.evaluate(
        """() => {
            const add = (text, style, parent = document.querySelector("main")) => {
              const element = document.createElement("p");
              element.textContent = text;
              Object.assign(element.style, style);
              return parent.appendChild(element);
            };
            add("grey", { color: "#777777", background: "#ffffff" }).id = "grey";
            const half = add("", { background: "#000000", opacity: "1", padding: "1em" });
            add("half", { color: "rgb(255 255 255 / 50%)" }, half).id = "half";
            add("faded", { color: "#ffffff", opacity: "0.5" }, half).id = "faded";
        }"""
    )
    found = tab.evaluate(axe.CONTRAST, ["#grey", "#half", "#faded"])
    ratios = {each["said"]: each["ratio"] for each in found}
    assert ratios["grey"] == pytest.approx(4.48, abs=0.01)
    assert ratios["half"] == pytest.approx(5.28, abs=0.1)
    assert ratios["faded"] == pytest.approx(ratios["half"], abs=0.1)


def test_a_page_with_a_fault_is_found(opened: Open):
    tab = opened("demo")
    tab.evaluate(
        """() => {
            const button = document.createElement("button");
            document.querySelector("main").append(button);
            const pale = document.createElement("p");
            pale.textContent = "pale";
            pale.style.color = "#bbbbbb";
            document.querySelector("main").append(pale);
        }"""
    )
    found = "\n".join(axe.problems(tab))
    assert "button-name" in found
    assert "color-contrast" in found
