"""What a learner does on a lesson's page, and what the browser keeps of it."""

from __future__ import annotations

from typing import Any

import msgspec

from pipetrace.blocks import Exam
from pipetrace.learned import Event
from pipetrace.views import demo_lesson

EXAM = demo_lesson.exam()
EVENTS = msgspec.json.Decoder(list[Event])
FULL = """() => {
  for (let size = 2 ** 22; size; size >>= 1)
    try {
      localStorage.setItem("full", (localStorage.getItem("full") ?? "") + "x".repeat(size));
    } catch {}
}"""
"""Fills what the browser lends to a page, to the last character."""


def settle(tab: Any) -> None:
    """Wait until the page is drawn and has gone to its place."""
    tab.wait_for_selector("main section")
    tab.wait_for_timeout(150)


def kept(tab: Any) -> list[Event]:
    """Read what the browser keeps, as the learner's file would."""
    return EVENTS.decode(tab.evaluate("localStorage.getItem('pipetrace/demo') ?? '[]'"))


def titles(tab: Any) -> list[str]:
    found: list[str] = tab.locator("main h2:visible").all_text_contents()
    return found


def mode(tab: Any) -> str:
    found: str = (
        tab.get_by_role("tablist", name="Modes").locator("[aria-selected=true]").inner_text()
    )
    return found.split("\n")[-1]


def go_to(tab: Any, label: str) -> None:
    tab.get_by_role("tablist", name="Modes").get_by_role("tab", name=label).click()


def sit(tab: Any, form: int, right: set[int], exam: Exam = EXAM) -> None:
    """Answer a whole form, the questions of `right` rightly."""
    for place, at in enumerate(exam.forms[form]):
        options = exam.questions[at].options
        wanted = next(
            index for index, option in enumerate(options) if option.correct == (place in right)
        )
        tab.locator(".exam").get_by_role("radio").nth(wanted).check()
        if place < 9:
            tab.locator(".exam").get_by_role("button", name="Next →").click()
    tab.locator(".exam").get_by_role("button", name="Finish").click()


def happened(values: dict[str, Any]) -> Event:
    """Make an event of the demo's learner."""
    return msgspec.convert({"lesson": "demo", **values}, Event)
