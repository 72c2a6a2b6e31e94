"""A lesson with a process behind it: who keeps the answers, and who runs things again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from pipetrace.learned import Event
from pipetrace.views import data, demo, html
from views.learner import FULL, go_to, happened, kept

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


HOSTED = """
(page) => {
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  window.asked = [];
  window.failing = false;
  window.refusing = "";
  window.emptied = "";
  const listeners = [];
  const values = { page };
  const act = async (name, given) => {
    if (window.failing) throw new Error("the <b>disk</b> is full");
    if (window.emptied) localStorage.removeItem(window.emptied);
    if (window.emptied) throw new Error("no answer");
    if (window.refusing && window.refusing === (given.event?.question)) {
      throw Object.assign(new Error("this is no <event>"), { status: 400 });
    }
    window.asked.push([name, given]);
    const made = { block: "text", text: `it came back from ${name}` };
    if (name !== "experiment") return name === "again" ? [made] : [];
    const attempt = { choices: given.choices, blocks: [made], reached: true };
    return [{ block: "experiment", title: "", target: "", knobs: [], attempts: [attempt] }];
  };
  const model = {
    get: (key) => values[key], act, on: (_, call) => listeners.push(call), off: () => {},
    actions: ["learned", "again", "experiment"],
  };
  window.renew = (next) => { values.page = next; listeners.forEach((call) => call()); };
  window.viewer.render({ model, el });
}
"""


@pytest.fixture
def hosted(browser: Any) -> Iterator[Any]:
    """Show the lesson with a process behind it that keeps answers."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    noise: list[str] = []
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.set_content(f"<style>{html.style()}</style>")
    source = html.module().replace("export default", "window.viewer =")
    tab.add_script_tag(content=source, type="module")
    tab.wait_for_function("window.viewer")
    tab.evaluate(HOSTED, data.plain(demo.lesson()))
    yield tab
    tab.close()
    assert noise == []


def test_a_host_keeps_the_answers(hosted: Any):
    go_to(hosted, "Practice")
    hosted.get_by_role("radio", name="D 0.7143").check()
    hosted.get_by_role("button", name="Check").first.click()
    assert hosted.get_by_text("D is right.").is_visible()
    [[name, given]] = hosted.evaluate("asked")
    assert name == "learned"
    answer = msgspec.convert(given["event"], Event)
    assert (answer.question, answer.right, answer.lesson) == ("scale", True, "demo")
    expect(hosted.locator(".kept")).to_have_text("Your answers are kept in your own file.")
    assert hosted.get_by_role("button", name="Forget my answers").count() == 0
    news = msgspec.structs.replace(demo.lesson(), events=(answer,))
    hosted.evaluate("(page) => renew(page)", data.plain(news))
    assert "1 of 1 right" in hosted.locator(".score").inner_text()


def test_a_host_that_fails_is_asked_again(hosted: Any):
    go_to(hosted, "Practice")
    hosted.evaluate("window.failing = true")
    hosted.get_by_role("radio", name="D 0.7143").check()
    hosted.get_by_role("button", name="Check").first.click()
    expect(hosted.locator(".kept")).to_contain_text(
        "1 answer is not kept yet, and tried again as long as this page is open: "
        "the <b>disk</b> is full"
    )
    assert hosted.get_by_text("D is right.").is_visible()
    box = hosted.locator(".kept").bounding_box()
    assert 0 < box["y"] < box["y"] + box["height"] <= 900
    hosted.evaluate("window.failing = false")
    expect(hosted.locator(".kept")).not_to_contain_text("not kept yet")
    assert [name for name, _ in hosted.evaluate("asked")] == ["learned"]


def test_an_answer_that_is_refused_for_good_is_said_once_and_left(hosted: Any):
    go_to(hosted, "Practice")
    hosted.evaluate("window.failing = true")
    hosted.get_by_role("radio", name="D 0.7143").check()
    hosted.get_by_role("button", name="Check").first.click()
    expect(hosted.locator(".kept")).to_contain_text("1 answer is not kept yet")
    hosted.evaluate("Object.assign(window, { failing: false, refusing: 'scale' })")
    expect(hosted.locator(".kept")).to_contain_text(
        "1 answer was refused, and is not kept: this is no <event>"
    )
    hosted.get_by_role("radio", name="B ones and zeros").check()
    hosted.get_by_role("button", name="Check").click()
    expect(hosted.locator(".kept")).to_have_text("Your answers are kept in your own file.")
    assert [given["event"]["question"] for _, given in hosted.evaluate("asked")] == ["mode"]


@pytest.fixture
def stored(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Show the lesson with a process behind it, at an address that has a storage."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    noise: list[str] = []
    (tmp_path / "empty.html").write_text("<!doctype html><body></body>")

    def open_page(before: str = "null") -> Any:
        tab = context.new_page()
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.goto((tmp_path / "empty.html").as_uri())
        tab.evaluate(before)
        tab.add_style_tag(content=html.style())
        source = html.module().replace("export default", "window.viewer =")
        tab.add_script_tag(content=source, type="module")
        tab.wait_for_function("window.viewer")
        tab.evaluate(HOSTED, data.plain(demo.lesson()))
        return tab

    yield open_page
    context.close()
    assert noise == []


def test_a_browser_that_stores_nothing_loses_no_answer_on_its_way(stored: Open):
    tab = stored(FULL)
    go_to(tab, "Practice")
    tab.evaluate("window.failing = true")
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    expect(tab.locator(".kept")).to_contain_text("1 answer is not kept yet")
    tab.get_by_role("radio", name="B ones and zeros").check()
    tab.get_by_role("button", name="Check").click()
    expect(tab.locator(".kept")).to_contain_text("2 answers are not kept yet")
    tab.evaluate("window.failing = false")
    expect(tab.locator(".kept")).to_have_text("Your answers are kept in your own file.")
    sent = [given["event"]["question"] for _, given in tab.evaluate("asked")]
    assert sorted(sent) == ["mode", "scale"]


def test_what_another_tab_has_sent_is_not_put_back(stored: Open):
    tab = stored()
    go_to(tab, "Practice")
    tab.evaluate("window.emptied = 'pipetrace/demo/unsent'")
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    expect(tab.locator(".kept")).to_have_text("Your answers are kept in your own file.")
    assert tab.evaluate("localStorage.getItem('pipetrace/demo/unsent')") is None


def test_what_the_browser_kept_goes_to_a_host_that_comes_later(lesson: Open, tmp_path: Path):
    first = lesson(hash="#quiz")
    first.get_by_role("radio", name="D 0.7143").check()
    first.get_by_role("button", name="Check").first.click()
    assert len(kept(first)) == 1
    tab = first.context.new_page()
    first.close()
    (tmp_path / "empty.html").write_text("<!doctype html><body></body>")
    tab.goto((tmp_path / "empty.html").as_uri())
    source = html.module().replace("export default", "window.viewer =")
    tab.add_script_tag(content=source, type="module")
    tab.wait_for_function("window.viewer")
    tab.evaluate(HOSTED, data.plain(demo.lesson()))
    tab.wait_for_function("() => window.asked.length === 1")
    assert kept(tab) == []
    go_to(tab, "Practice")
    assert tab.get_by_text("D is right.").is_visible()


def test_new_answers_of_a_host_are_shown(hosted: Any):
    go_to(hosted, "Practice")
    answer = happened({"event": "answer", "question": "mode", "form": 0, "option": 1,
                           "right": False, "at": 5000})  # fmt: skip
    news = msgspec.structs.replace(demo.lesson(), events=(answer,))
    hosted.evaluate("(page) => renew(page)", data.plain(news))
    assert hosted.get_by_text("B is not right.").is_visible()
    assert "0 of 1 right" in hosted.locator(".score").inner_text()


def test_a_host_runs_steps_and_experiments(hosted: Any):
    go_to(hosted, "Checks")
    hosted.get_by_role("button", name="Run the check").click()
    hosted.get_by_role("button", name="Run again here").click()
    assert hosted.get_by_text("it came back from again").is_visible()
    go_to(hosted, "Experiment")
    hosted.get_by_role("combobox", name="p of dropout").select_option("0.8")
    hosted.get_by_role("button", name="Run", exact=True).click()
    assert hosted.get_by_text("it came back from experiment").is_visible()
    assert hosted.get_by_text("Reached with 1 try.").is_visible()
    asked = [(name, given) for name, given in hosted.evaluate("asked") if name != "learned"]
    assert asked == [
        ("again", {"again": "PTR101 fires"}),
        ("experiment", {"choices": [4, 0], "seed": 0}),
    ]
    hosted.evaluate("window.failing = true")
    hosted.get_by_role("combobox", name="p of dropout").select_option("0.5")
    hosted.get_by_role("button", name="Run", exact=True).click()
    assert hosted.get_by_text("Reached with 1 try.").is_visible()
