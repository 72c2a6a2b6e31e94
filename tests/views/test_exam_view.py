"""A test in the browser: every verdict, nothing said before the end, and a reload in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from pipetrace import blocks
from pipetrace.blocks import Page
from views.learner import EXAM, kept, settle, sit

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


def on_page(*given: blocks.AnyBlock) -> Page:
    """Put blocks alone on the page of a learner."""
    section = blocks.Section(id="alone", title="Alone", blocks=given)
    return Page(title="t", subtitle="", sections=(section,), learner="demo")


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ({0, 1, 2, 3, 4, 5, 7, 8}, "Strong"),
        ({0, 1, 2, 3, 4, 5, 6, 7}, "Growing"),
        ({0, 1, 2, 3, 4, 5}, "Growing"),
        ({0, 1, 2, 3, 4}, "Not yet"),
        (set(range(10)), "Strong"),
        (set(), "Not yet"),
    ],
    ids=str,
)
def test_a_test_ends_with_its_verdict(lesson: Open, right: set[int], verdict: str):
    tab = lesson(hash="#exam")
    box = tab.locator(".exam")
    assert "4 easy, 3 medium, 3 hard" in box.inner_text()
    assert "Form 1 of 2." in box.inner_text()
    tab.get_by_role("button", name="Begin").click()
    assert box.locator(".feedback:visible, .right, .wrong").count() == 0
    sit(tab, 0, right)
    for _ in range(2):
        said = box.inner_text()
        assert box.locator("h3").first.inner_text().endswith(verdict)
        hard = len(right & {7, 8, 9})
        assert f"{len(right)} of 10 right, {hard} of the 3 hard ones." in said
        low, high = (f"{bound * 100:.0f} %" for bound in EXAM.intervals[len(right)])
        assert f"between {low} and {high} of such questions right" in said
        assert ("hard ones are needed" in said) == (len(right) == 8 and verdict == "Growing")
        wrong = {EXAM.questions[at].subject for at in set(range(10)) - right}
        links = box.get_by_role("link", name="see Data flow, 5 stages")
        assert links.count() == len(wrong)
        assert box.locator("details").count() == 10
        tab.reload()
        settle(tab)
    begun, *answers, ended = kept(tab)
    assert (begun.verdict, ended.verdict) == ("", verdict.lower())
    assert (ended.right, ended.total, ended.hard, ended.form) == (len(right), 10, hard, 0)
    assert {each.sitting for each in (begun, *answers, ended)} == {begun.sitting}
    assert [each.right for each in answers] == [place in right for place in range(10)]


def test_a_test_goes_on_after_a_reload(lesson: Open):
    tab = lesson(hash="#exam")
    box = tab.locator(".exam")
    tab.get_by_role("button", name="Begin").click()
    for chosen in (1, 2):
        box.get_by_role("radio").nth(chosen).check()
        tab.get_by_role("button", name="Next →").click()
    box.get_by_role("radio").nth(3).check()
    tab.reload()
    settle(tab)
    assert box.locator("h3").inner_text() == "Question 3 of 10"
    assert box.get_by_role("radio").nth(3).is_checked()
    assert box.get_by_role("button", name="Question 1, answered").count() == 1
    assert box.get_by_role("button", name="Question 4, not yet answered").count() == 1
    tab.get_by_role("button", name="← Back").click()
    assert box.get_by_role("radio").nth(2).is_checked()
    box.get_by_role("radio").nth(0).check()
    box.get_by_role("button", name="Question 1, answered").click()
    assert box.get_by_role("radio").nth(1).is_checked()
    box.get_by_role("button", name="Question 2, answered").click()
    assert box.get_by_role("radio").nth(0).is_checked()
    assert [each.option for each in kept(tab)[1:]] == [1, 2, 3, 0]


def test_a_test_by_keyboard_alone_with_questions_left_out(lesson: Open):
    tab = lesson(hash="#exam")
    settle(tab)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.textContent") == "Question 1 of 10"
    for _ in range(11):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.textContent") == "Question 2 of 10"
    box = tab.locator(".exam")
    box.get_by_role("button", name="Question 10").click()
    box.get_by_role("button", name="Finish").press("Enter")
    assert "Questions 2, 3, 4, 5, 6, 7, 8, 9, 10 have no answer yet" in box.inner_text()
    box.get_by_role("button", name="Finish all the same").press("Enter")
    assert box.locator("h3").first.inner_text().endswith("Not yet")
    assert tab.evaluate("document.activeElement.tagName") == "H3"
    box.locator("summary").nth(1).press("Enter")
    assert "Question 2: not answered" in box.inner_text()


def test_forms_take_turns(lesson: Open):
    tab = lesson(hash="#exam")
    tab.get_by_role("button", name="Begin").click()
    for form, following in (
        (0, "2 comes next."),
        (1, "1 comes next, whose"),
        (0, "2 comes next, w"),
    ):
        sit(tab, form, {0})
        assert f"Form {following}" in tab.locator(".exam").inner_text()
        tab.get_by_role("button", name="Another form").click()
    ended = [each.form for each in kept(tab) if getattr(each, "verdict", "")]
    assert ended == [0, 1, 0]


def test_the_only_form_is_taken_again_as_what_it_is(lesson: Open):
    tab = lesson(on_page(msgspec.structs.replace(EXAM, forms=EXAM.forms[:1])))
    box = tab.locator(".exam")
    assert "Form 1" not in box.inner_text()
    tab.get_by_role("button", name="Begin").click()
    sit(tab, 0, {0})
    said = box.inner_text()
    assert "The same form comes next, whose answers you have seen: it then measures memory." in said
    assert "95 % interval" in said
    assert box.get_by_role("button", name="Another form").count() == 0
    box.get_by_role("button", name="Take it again").click()
    sit(tab, 0, {0})
    said = box.inner_text()
    assert "You had seen the answers of this form: the result measures memory too." in said
    assert "95 % interval" not in said


@pytest.mark.parametrize(
    ("few", "hard", "rule", "right", "said"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7, 4, 5), 1, "at least 8 right, the hard one among them", {7},
         "1 of 10 right, the hard one among them."),
        ((0, 1, 2, 3, 4, 5, 6, 7, 4, 5), 1, "at least 8 right, the hard one among them",
         set(range(10)) - {7}, "9 of 10 right, the hard one not among them. 8 right are enough "
         "for strong; 1 hard one is needed too."),
        ((0, 1, 2, 3, 4, 5, 6, 7, 8, 5), 1, "at least 8 right, and at least 1 of the 2 hard ones",
         {7}, "1 of 10 right, 1 of the 2 hard ones."),
        ((0, 1, 2, 3, 4, 5, 6, 3, 4, 5), 0, "at least 8 right\n", set(range(10)),
         "10 of 10 right.\n"),
    ],
    ids=str,
)  # fmt: skip
def test_a_test_with_fewer_hard_ones_says_so(
    lesson: Open, few: tuple[int, ...], hard: int, rule: str, right: set[int], said: str
):
    given = [msgspec.structs.replace(EXAM.questions[at], id=f"q{n}") for n, at in enumerate(few)]
    form = tuple(range(10))
    test = msgspec.structs.replace(EXAM, questions=tuple(given), forms=(form,), hard=hard)
    tab = lesson(on_page(test))
    box = tab.locator(".exam")
    assert f"Strong: {rule}" in box.inner_text()
    tab.get_by_role("button", name="Begin").click()
    sit(tab, 0, right, test)
    assert said in box.inner_text()


def test_an_answer_in_a_test_is_no_answer_outside_of_it(lesson: Open):
    asked = EXAM.questions[0]
    tab = lesson(on_page(asked, EXAM))
    tab.get_by_role("button", name="Begin").click()
    sit(tab, 0, set())
    expect(tab.locator(".score")).to_contain_text("None answered yet")
