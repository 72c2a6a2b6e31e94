"""A lesson in the browser, as a learner uses it: by mouse, by keyboard, and after a reload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from pipetrace.blocks import Page
from pipetrace.learned import Event
from pipetrace.views import demo, demo_lesson, html
from views import axe
from views.learner import FULL, go_to, happened, kept, mode, settle, sit, titles

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


def test_a_page_shows_the_sections_of_one_mode(lesson: Open):
    tab = lesson()
    page = demo.lesson()
    for each in page.modes:
        go_to(tab, each.label)
        wanted = [section.title for section in page.sections if section.mode in (each.id, "")]
        assert titles(tab) == wanted
        assert tab.locator("nav a").all_inner_texts() == wanted
        assert tab.get_by_role("tabpanel", name=each.label).count() == 1
        assert each.words in tab.locator(".modes").inner_text()
        assert tab.get_by_text("could not be drawn").count() == 0
    assert [text[0] for text in tab.locator(".modes [role=tab]").all_inner_texts()] == list(
        "1234567891"
    )


def test_modes_by_keyboard_alone(lesson: Open):
    tab = lesson()
    tab.keyboard.press("Tab")
    assert mode(tab) == "Why"
    for key, label in (
        ("ArrowRight", "Deep"),
        ("End", "Review & test"),
        ("ArrowRight", "Why"),
        ("ArrowLeft", "Review & test"),
        ("Home", "Why"),
    ):
        tab.keyboard.press(key)
        assert mode(tab) == label
        assert tab.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    assert tab.locator(".modes [role=tab][tabindex='0']").count() == 1
    tab.keyboard.press("4")
    assert mode(tab) == "Why"


def test_the_address_opens_the_right_mode(lesson: Open):
    tab = lesson(hash="#flow/head.relu")
    assert mode(tab) == "Trace"
    expect(tab.locator(".halves .stage h3")).to_contain_text("ReLU()")
    go_to(tab, "Checks")
    assert tab.evaluate("location.hash") == "#code"
    tab.reload()
    settle(tab)
    assert mode(tab) == "Checks"
    tab.evaluate("location.hash = '#exam'")
    settle(tab)
    assert mode(tab) == "Review & test"


def test_a_section_of_every_mode_leaves_the_mode_as_it_is(lesson: Open):
    tab = lesson(hash="#quiz")
    tab.get_by_role("link", name="Notice").click()
    tab.reload()
    settle(tab)
    assert mode(tab) == "Practice"
    assert tab.evaluate("location.hash").startswith("#notice")


def test_the_next_mode_stands_below(lesson: Open):
    tab = lesson(hash="#quiz")
    tab.get_by_role("button", name="Next: Experiment →").click()
    assert mode(tab) == "Experiment"
    assert tab.evaluate("document.activeElement.textContent") == "Experiment"
    go_to(tab, "Review")
    assert tab.locator(".onward:visible").count() == 0


def test_a_page_without_modes_has_none(lesson: Open, page: Page):
    tab = lesson(page)
    assert tab.get_by_role("tablist", name="Modes").count() == 0
    assert tab.get_by_role("tabpanel").count() == 0
    assert tab.locator("main > section").count() == len(page.sections)
    assert not tab.locator(".kept").is_visible()


def test_a_wrong_answer_leads_to_its_place_and_back(lesson: Open):
    tab = lesson(hash="#quiz")
    tab.get_by_role("radio", name="B 0.15").check()
    tab.get_by_role("button", name="Check").first.click()
    link = tab.get_by_role("link", name="See it in the trace: Data flow, 5 stages")
    link.focus()
    tab.keyboard.press("Enter")
    settle(tab)
    assert mode(tab) == "Trace"
    assert tab.evaluate("location.hash") == "#flow/0"
    expect(tab.locator(".halves .stage h3")).to_contain_text("Dropout(0.3)")
    tab.go_back()
    settle(tab)
    assert mode(tab) == "Practice"
    assert tab.get_by_text("B is not right.").is_visible()
    [answer] = kept(tab)
    assert msgspec.structs.replace(answer, at=0) == msgspec.convert(
        {"event": "answer", "lesson": "demo", "at": 0, "question": "scale", "form": 0, "option": 1,
         "right": False, "level": "easy", "misconception": "keeps-p"},
        Event,
    )  # fmt: skip


def test_a_link_to_a_place_that_is_not_there_is_left_out(lesson: Open):
    question = next(each for each in demo.page().sections if each.id == "quiz")
    tab = lesson(Page(title="t", subtitle="", sections=(question,)))
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    assert tab.get_by_text("D is right.").is_visible()
    assert tab.get_by_text("See it in the trace").count() == 0


def test_answers_survive_a_reload_and_the_first_one_counts(lesson: Open):
    tab = lesson(hash="#quiz")
    first = tab.locator(".question").first
    first.get_by_role("radio", name="B").check()
    first.get_by_role("button", name="Check").click()
    first.get_by_role("button", name="Try again").click()
    assert first.get_by_role("status").inner_text() == ""
    first.get_by_role("radio", name="D").check()
    first.get_by_role("button", name="Check").click()
    for _ in range(2):
        assert first.get_by_role("status").inner_text() == "✓ D is right."
        expect(tab.locator(".score")).to_contain_text("0 of 1 right")
        assert tab.locator(".tally:not(:empty)").inner_text() == "0/1"
        tab.reload()
        settle(tab)
    assert [answer.right for answer in kept(tab)] == [False, True]


def test_two_tabs_tell_each_other(lesson: Open):
    tab = lesson(hash="#quiz")
    other = tab.context.new_page()
    other.goto(tab.url)
    settle(other)
    for one, two, name in ((tab, other, "D 0.7143"), (other, tab, "B ones and zeros")):
        place = 0 if name.startswith("D") else 1
        one.get_by_role("radio", name=name).check()
        one.locator(".question").nth(place).get_by_role("button", name="Check").click()
        status = two.locator(".question").nth(place).get_by_role("status")
        expect(status).to_contain_text(name[0])
    assert len(kept(tab)) == 2
    expect(tab.locator(".score")).to_contain_text("1 of 2 right")
    assert "1 of 2 right" in other.locator(".score").inner_text()


def test_answers_are_forgotten_when_asked_twice(lesson: Open):
    tab = lesson(hash="#quiz")
    assert tab.get_by_role("button", name="Forget my answers").count() == 0
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    tab.get_by_role("button", name="Forget my answers").click()
    tab.get_by_role("button", name="Keep them").click()
    assert len(kept(tab)) == 1
    tab.get_by_role("button", name="Forget my answers").click()
    tab.get_by_role("button", name="Forget them all").click()
    assert kept(tab) == []
    assert tab.locator(".question").first.get_by_role("status").inner_text() == ""
    expect(tab.locator(".score")).to_contain_text("None answered yet")


def test_a_frame_without_storage_keeps_answers_while_it_is_open(browser: Any):
    tab = browser.new_page()
    noise: list[str] = []
    tab.on("pageerror", lambda error: noise.append(str(error)))
    frame = html.document(demo.lesson()).replace("&", "&amp;").replace('"', "&quot;")
    tab.set_content(f'<iframe sandbox="allow-scripts" width=1200 height=900 srcdoc="{frame}">')
    inside = tab.frame_locator("iframe")
    inside.get_by_role("tab", name="Practice").click()
    inside.get_by_role("radio", name="D 0.7143").check()
    inside.get_by_role("button", name="Check").first.click()
    assert inside.get_by_text("D is right.").is_visible()
    assert "until this page is closed" in inside.locator(".kept").inner_text()
    assert noise == []
    tab.close()


def test_a_full_storage_loses_nothing_while_the_page_is_open(lesson: Open):
    tab = lesson(hash="#quiz")
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    tab.evaluate(FULL)
    go_to(tab, "Review")
    assert tab.locator(".kept").inner_text().startswith("Your answers are kept in this browser")
    tab.get_by_role("button", name="Begin").click()
    sit(tab, 0, set(range(10)))
    expect(tab.locator(".exam")).to_contain_text("10 of 10 right")
    assert (
        tab.locator(".kept")
        .inner_text()
        .startswith(
            "This browser stores no more: your latest answers last only until this page is closed."
        )
    )
    assert len(kept(tab)) == 1
    go_to(tab, "Practice")
    expect(tab.locator(".score")).to_contain_text("1 of 1 right")
    tab.get_by_role("button", name="Forget my answers").click()
    tab.get_by_role("button", name="Forget them all").click()
    expect(tab.locator(".score")).to_contain_text("None answered yet")


def test_what_could_not_be_stored_is_stored_when_there_is_room(lesson: Open):
    tab = lesson(hash="#quiz")
    tab.evaluate(FULL)
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    expect(tab.locator(".kept")).to_contain_text("This browser stores no more")
    assert kept(tab) == []
    tab.evaluate("localStorage.removeItem('full')")
    tab.get_by_role("radio", name="B ones and zeros").check()
    tab.get_by_role("button", name="Check").click()
    expect(tab.locator(".kept")).to_contain_text("kept in this browser only")
    assert [answer.question for answer in kept(tab)] == ["scale", "mode"]


def test_what_was_answered_before_comes_with_the_page(lesson: Open):
    answer = happened({"event": "answer", "question": "scale", "form": 0, "option": 3,
                           "right": True, "at": 1000})  # fmt: skip
    page = msgspec.structs.replace(demo.lesson(), events=(answer,))
    tab = lesson(page, hash="#quiz")
    assert tab.get_by_text("D is right.").is_visible()
    expect(tab.locator(".score")).to_contain_text("1 of 1 right")


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_left_out(lesson: Open, scheme: str, width: int):
    tab = lesson(width=width, color_scheme=scheme)
    wrong: dict[str, list[str]] = {}

    def judge(state: str) -> None:
        tab.evaluate("scrollTo(0, 0)")
        found = axe.problems(tab)
        if found:
            wrong[state] = found
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, state

    for each in demo_lesson.MODES:
        go_to(tab, each.label)
        judge(each.id)
    box = tab.locator(".cards")
    box.get_by_role("button", name="Show answer").click()
    judge("card")
    tab.get_by_role("button", name="Begin").click()
    tab.locator(".exam").get_by_role("radio").first.check()
    judge("asked")
    sit(tab, 0, {0, 1, 7})
    tab.locator(".exam details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    judge("verdict")
    tab.get_by_role("button", name="Forget my answers").click()
    judge("forget")
    go_to(tab, "Experiment")
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.get_by_role("combobox", name="p of dropout").select_option("0.1")
    tab.get_by_role("button", name="Run", exact=True).click()
    judge("tried")
    go_to(tab, "Checks")
    tab.get_by_role("button", name="Run the check").click()
    judge("revealed")
    assert wrong == {}


def test_on_paper_all_modes_follow_each_other(lesson: Open):
    tab = lesson(hash="#quiz")
    before = titles(tab)
    tab.emulate_media(media="print")
    tab.wait_for_selector(".keys")
    page = demo.lesson()
    heads = [text.split("\n")[-1].strip() for text in tab.locator("h2.mode").all_text_contents()]
    assert [head.lstrip("0123456789 ") for head in heads] == [each.label for each in page.modes]
    shown = [title for title in titles(tab) if title in {each.title for each in page.sections}]
    assert sorted(shown) == sorted(each.title for each in page.sections)
    text = tab.locator("main").inner_text()
    for words in ("model.eval()", "it doubles", "What is the variance", "p of dropout: 0.0, 0.1"):
        assert words in text
    assert tab.locator(".keys > ol > li").count() == 12
    assert tab.locator("button:visible, nav:visible, select:visible").count() == 0
    assert tab.pdf()[:4] == b"%PDF"
    tab.emulate_media(media="screen")
    tab.wait_for_selector(".keys", state="detached")
    assert titles(tab) == before
    tab.wait_for_timeout(600)
    assert tab.evaluate("location.hash") == "#quiz"
