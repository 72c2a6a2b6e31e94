"""Cards come when py-fsrs says so; steps and experiments are remembered."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipetrace.views import demo_lesson, html
from views.learner import kept, settle

pytestmark = pytest.mark.browser
Open = Callable[..., Any]


def test_cards_are_turned_and_rated(lesson: Open):
    tab = lesson(hash="#cards")
    box = tab.locator(".cards")
    assert box.locator(".badge").all_inner_texts() == ["0 due", "4 new", "4 in all"]
    assert "it doubles" not in box.inner_text()
    box.get_by_role("button", name="Show answer").press("Enter")
    assert "Executed: it gives 2.0." in box.inner_text()
    assert tab.evaluate("document.activeElement.className") == "face"
    labels = box.locator(".rating").all_inner_texts()
    assert labels == ["Again\n1 min", "Hard\n6 min", "Good\n10 min", "Easy\n8 d"]
    box.get_by_role("button", name="Good").press("Enter")
    tab.reload()
    settle(tab)
    assert "eval mode?" in box.inner_text()
    for _ in range(3):
        box.get_by_role("button", name="Show answer").click()
        box.get_by_role("button", name="Easy").click()
    assert "Nothing is due now." in box.inner_text()
    assert "The next card comes in 10 min" in box.inner_text()
    box.get_by_role("button", name="Go on ahead").click()
    assert "survivor" in box.inner_text()
    assert [(each.card, each.rating) for each in kept(tab)] == [
        ("scale", 3), ("eval", 4), ("fresh", 4), ("range", 4),
    ]  # fmt: skip


def test_a_card_comes_when_its_time_has_come(lesson: Open, browser: Any):
    tab = lesson(hash="#cards")
    box = tab.locator(".cards")
    tab.clock.install()
    tab.reload()
    settle(tab)
    for rating in ("Again", "Easy", "Easy", "Easy"):
        box.get_by_role("button", name="Show answer").click()
        box.get_by_role("button", name=rating).click()
    assert "The next card comes in 1 min" in box.inner_text()
    tab.clock.run_for(61_000)
    assert "survivor" in box.inner_text()
    assert box.locator(".badge").first.inner_text() == "1 due"


SCHEDULE = """
([weights, retention, histories]) => {
  const { fresh, review } = scheduler(weights, retention);
  return histories.map((history) => {
    let card = fresh;
    return history.map(([rating, at]) => (card = review(card, rating, at)));
  });
}
"""


@pytest.mark.parametrize("retention", [0.9, 0.8])
def test_cards_are_scheduled_as_by_fsrs(browser: Any, retention: float):
    fsrs = pytest.importorskip("fsrs")
    source = random.Random(6)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    gaps = (1, 61, 600, 3600, 86_399, 86_400, 86_401, 3 * 86_400, 40 * 86_400, 900 * 86_400)
    histories = []
    for _ in range(200):
        at, history = begin, []
        for _ in range(source.randint(1, 12)):
            at += timedelta(seconds=source.choice(gaps) * source.choice((1, 1, 2)))
            at += timedelta(milliseconds=source.randrange(1000))
            history.append((source.choice((1, 2, 3, 3, 3, 4)), at))
        histories.append(history)
    given = [
        [(rating, (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
         for rating, at in history]
        for history in histories
    ]  # fmt: skip
    tab = browser.new_page()
    module = html.module().replace("export default { render };", f"window.schedule = {SCHEDULE};")
    tab.set_content("<p></p>")
    tab.add_script_tag(content=module, type="module")
    tab.wait_for_function("() => window.schedule !== undefined")
    weights = list(demo_lesson.WEIGHTS)
    found = tab.evaluate("(all) => schedule(all)", [weights, retention, given])
    tab.close()
    theirs = fsrs.Scheduler(parameters=weights, desired_retention=retention, enable_fuzzing=False)
    states = {fsrs.State.Learning: "learning", fsrs.State.Review: "review",
              fsrs.State.Relearning: "relearning"}  # fmt: skip
    for history, ours in zip(histories, found, strict=True):
        card = fsrs.Card(due=begin)
        for (rating, at), mine in zip(history, ours, strict=True):
            card, _ = theirs.review_card(card, fsrs.Rating(rating), at)
            due = card.due - datetime(1970, 1, 1, tzinfo=UTC)
            assert mine["stability"] == pytest.approx(card.stability, rel=1e-6)
            assert mine["difficulty"] == pytest.approx(card.difficulty, rel=1e-6)
            assert mine["due"] == due // timedelta(milliseconds=1)
            assert (mine["state"], mine["step"]) == (states[card.state], card.step)


def test_steps_are_revealed_and_stay(lesson: Open):
    tab = lesson(hash="#checking")
    box = tab.locator(".steps")
    assert "PTR101" not in box.inner_text()
    box.get_by_role("button", name="Run the check").press("Enter")
    assert "PTR101: the model predicts in train mode." in box.inner_text()
    assert tab.evaluate("document.activeElement.textContent") == "Run the check"
    assert "model.eval()" not in box.inner_text()
    tab.reload()
    settle(tab)
    assert "PTR101" in box.inner_text()
    box.get_by_role("button", name="Repair it").click()
    assert "The check is silent." in box.inner_text()
    assert "All steps are shown." in box.inner_text()
    assert box.get_by_role("button").count() == 0


def test_an_experiment_is_tried_until_its_target_is_reached(lesson: Open):
    tab = lesson(hash="#knobs")
    box = tab.locator(".experiment")
    rate = box.get_by_role("combobox", name="p of dropout")
    run = box.get_by_role("button", name="Run")
    assert rate.locator("option:checked").inner_text() == "0.5"
    run.click()
    assert "Not reached yet: 1 try." in box.inner_text()
    rate.select_option("0.8")
    assert "This choice was not run." in box.inner_text()
    run.press("Enter")
    assert box.locator(".attempt").count() == 1
    rate.select_option("0.1")
    run.press("Enter")
    assert "Reached with 2 tries." in box.inner_text()
    assert box.locator(".attempt").first.inner_text().startswith("Try 2")
    box.get_by_role("combobox", name="elements").select_option("20")
    for _ in range(2):
        run.click()
    assert box.locator(".attempt").count() == 3
    tab.reload()
    settle(tab)
    assert "You reached it before, with p of dropout = 0.1, elements = 20." in box.inner_text()
    assert rate.locator("option:checked").inner_text() == "0.1"
    assert {(each.experiment, each.choices) for each in kept(tab)} == {
        ("knobs", (1, 0)), ("knobs", (1, 1)),
    }  # fmt: skip
