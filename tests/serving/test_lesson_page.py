"""The dropout lesson behind its tutor, in a real Chromium: taken as a learner takes it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from pipetrace.blocks import Exam, Experiment, Page
from pipetrace.learned import Answer, Reached, Review, Sitting
from pipetrace.learner.log import Log
from pipetrace.learner.schedule import weights
from pipetrace.lessons import folder
from pipetrace.serving.process import Served, served
from pipetrace.tutoring.hosting import PATH, desk_of
from pipetrace.tutoring.tutor import Tutor, run_example
from serving.conftest import Client
from serving.test_live_page import visit  # noqa: F401  # a fixture
from views import axe
from views.learner import go_to, mode, settle

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lesson")


@pytest.fixture(scope="module")
def tutor(place: Path) -> Tutor:
    lesson = folder.named("dropout")
    recording = run_example(lesson, place)
    made = Tutor(lesson, recording, log=Log(place / "answers.jsonl"), seed=11, weights=weights())
    made.first()
    return made


@pytest.fixture(scope="module")
def server(tutor: Tutor, place: Path) -> Iterator[Served]:
    with served(desk_of(tutor, place), path=PATH) as running:
        yield running


def events(tutor: Tutor, kind: type) -> list[Any]:
    return [each for each in Log(tutor._log.path).events("dropout") if isinstance(each, kind)]


def of(page: Page, kind: type) -> Any:
    return next(each for s in page.sections for each in s.blocks if isinstance(each, kind))


def test_the_page_is_usable_before_all_is_measured_and_grows(
    tutor: Tutor, server: Served, visit: Any  # noqa: F811
):  # fmt: skip
    tab = visit(server.url)
    tab.evaluate("window.mark = 'the same document'")
    expect(tab.locator("main")).to_contain_text("This is being measured")
    go_to(tab, "Practice")
    expect(tab.locator(".question:visible").first).to_be_visible()
    thread = threading.Thread(target=lambda: [None for _ in tutor.rest()])
    thread.start()
    go_to(tab, "Why")
    expect(tab.locator("main")).to_contain_text("Verdict for the example:", timeout=60_000)
    go_to(tab, "Checks")
    expect(tab.get_by_role("tab", name="Program 1")).to_be_visible(timeout=120_000)
    thread.join(180)
    assert not thread.is_alive()
    assert tab.evaluate("window.mark") == "the same document"
    go_to(tab, "Why")
    assert tab.get_by_text("This is being measured").count() == 0


def test_answers_go_to_the_learners_file_and_survive_a_reload(
    tutor: Tutor, server: Served, visit: Any  # noqa: F811
):  # fmt: skip
    tab = visit(server.url + "#practice")
    settle(tab)
    assert mode(tab) == "Practice"
    first = tab.locator("section:has(h2:text-is('Questions to practise')) .question").first
    first.get_by_role("radio").nth(0).check()
    first.get_by_role("button", name="Check").click()
    said = first.get_by_role("status").inner_text()
    expect(tab.locator(".score:visible").first).to_contain_text("of 1 right")
    tab.wait_for_timeout(500)
    (answer,) = events(tutor, Answer)
    question = next(each for each in tutor.taught.bank if each.id == answer.question)
    choice = question.choices[0]
    assert (answer.option, answer.right, answer.form) == (0, choice.correct, question.form)
    assert answer.misconception == choice.misconception
    assert ("is right" in said) == choice.correct
    tab.reload()
    settle(tab)
    again = tab.locator("section:has(h2:text-is('Questions to practise')) .question").first
    assert again.get_by_role("status").inner_text() == said
    other = visit(server.url + "#practice")  # another browser: it knows from the file alone
    settle(other)
    there = other.locator("section:has(h2:text-is('Questions to practise')) .question").first
    assert there.get_by_role("status").inner_text() == said
    assert len(events(tutor, Answer)) == 1


def test_the_test_to_its_verdict_with_a_reload_in_the_middle(
    tutor: Tutor, server: Served, visit: Any  # noqa: F811
):  # fmt: skip
    exam = of(tutor.page(), Exam)
    tab = visit(server.url + "#exam")
    settle(tab)
    box = tab.locator(".exam")
    box.get_by_role("button").first.click()
    for place, at in enumerate(exam.forms[0]):
        key = next(i for i, each in enumerate(exam.questions[at].options) if each.correct)
        if place == 5:
            tab.wait_for_timeout(300)
            tab.reload()
            settle(tab)
            expect(box).to_contain_text("6 of 10")
        box.get_by_role("radio").nth(key).check()
        box.get_by_role("button", name="Next →" if place < 9 else "Finish").click()
    expect(box).to_contain_text("Strong")
    expect(box).to_contain_text("10 of 10")
    expect(box).to_contain_text("72 %")  # Wilson's interval for 10 of 10 begins there
    tab.wait_for_timeout(500)
    ended = [each for each in events(tutor, Sitting) if each.verdict]
    assert [(each.verdict, each.right, each.total, each.hard) for each in ended] == [
        ("strong", 10, 10, 3)
    ]
    sat = [each for each in events(tutor, Answer) if each.sitting == ended[0].sitting]
    assert len(sat) == 10
    assert all(each.right for each in sat)


def test_cards_a_bug_and_the_experiment(
    tutor: Tutor, server: Served, visit: Any  # noqa: F811
):  # fmt: skip
    assert list(tutor.rest()) == []  # it was made above
    tab = visit(server.url + "#cards")
    settle(tab)
    tab.get_by_role("button", name="Show answer").click()
    tab.get_by_role("button", name="Good").click()
    tab.wait_for_timeout(500)
    assert [each.rating for each in events(tutor, Review)] == [3]
    go_to(tab, "Checks")
    tab.get_by_role("button", name="Run the check").click()
    panel = tab.locator("#page .steps:visible")
    expect(panel).to_contain_text("PTR101, line")
    panel.get_by_role("button", name="Run again here").click()
    expect(panel.get_by_text("PTR101, line")).to_have_count(2, timeout=30_000)
    go_to(tab, "Experiment")
    experiment = of(tutor.page(), Experiment)
    box = tab.locator(".experiment:visible")
    box.get_by_role("button", name="Run").click()
    expect(box).to_contain_text("Not reached yet: 1 try.")
    best = next(each for each in experiment.attempts if each.reached)
    for select, choice in zip(box.locator(".knobs select").all(), best.choices, strict=True):
        select.select_option(str(choice))
    box.get_by_role("button", name="Run").click()
    expect(box).to_contain_text("Reached with 2 tries.")
    tab.wait_for_timeout(500)
    (reached,) = events(tutor, Reached)
    assert (reached.experiment, reached.choices) == ("experiment", best.choices)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_left_out(tutor: Tutor, server: Served, visit: Any, scheme: str):  # noqa: F811
    tab = visit(server.url, color_scheme=scheme)
    for each in tutor.page().modes:
        go_to(tab, each.label)
        tab.wait_for_timeout(150)
        assert axe.problems(tab) == [], each.id


@pytest.mark.parametrize(
    "event",
    [
        {"event": "answer", "lesson": "dropout", "at": -1, "question": "D101", "form": 0,
         "option": 0, "right": True},
        {"event": "answer", "lesson": "dropout", "at": 1, "question": "D101"},
        {"event": "sitting", "lesson": "dropout", "at": 1, "sitting": "x", "form": 0, "right": 11,
         "total": 10, "verdict": "strong"},
        {"event": "review", "lesson": "dropout", "at": 1, "card": "a", "rating": 9},
        {"event": "other"},
        "x",
    ],
)  # fmt: skip
def test_what_did_not_happen_is_not_kept(tutor: Tutor, server: Served, event: Any):
    before = len(tutor.events)
    answer = Client(server.url).post(
        "/run/live/act", {"name": "learned", "arguments": {"event": event}}
    )
    assert answer.status == 400
    assert json.loads(answer.text)["error"]
    assert len(tutor.events) == before
