"""Cards come again when the written rules say so, which the package fsrs is compared with."""

from __future__ import annotations

import math
import sys
from random import Random

import pytest
from fsrs import Scheduler

from pipetrace.errors import PipetraceError
from pipetrace.learned import Review
from pipetrace.learner.schedule import DAY, RETENTION, Due, due, schedule, weights

MINUTE = 60_000
START = 1_700_000_000_123


def review(card: str, at: int, rating: int) -> Review:
    return Review(lesson="dropout", at=at, card=card, rating=rating)


class Written:
    """The rules as the docstring of `schedule` has them, word for word."""

    def __init__(self) -> None:
        self.w = weights()
        self.f = 0.9 ** (-1 / self.w[20]) - 1

    def d0(self, r: int) -> float:
        return self.w[4] - math.exp(self.w[5] * (r - 1)) + 1

    def memory(self, s: float, d: float, t: int, r: int) -> float:
        w = self.w
        if t == 0:
            f = math.exp(w[17] * (r - 3 + w[18])) * s ** -w[19]
            return s * (f if r == 1 else max(f, 1.0))
        recall = (1 + self.f * t / s) ** -w[20]
        if r == 1:
            long = w[11] * d ** -w[12] * ((s + 1) ** w[13] - 1) * math.exp(w[14] * (1 - recall))
            return min(long, s / math.exp(w[17] * w[18]))
        h, e = (w[15] if r == 2 else 1), (w[16] if r == 4 else 1)
        growth = math.exp(w[8]) * (11 - d) * s ** -w[9] * (math.exp(w[10] * (1 - recall)) - 1)
        return s * (1 + growth * h * e)

    def play(self, reviews: list[Review]) -> Due:
        s = d = 0.0
        state, step, last, after = "learning", 0, None, 0
        for each in reviews:
            r = each.rating
            if last is None:
                s, d = self.w[r - 1], min(max(self.d0(r), 1), 10)
            else:
                s = self.memory(s, d, max(0, (each.at - last) // DAY), r)
                moved = d - self.w[6] * (r - 3) * (10 - d) / 9
                d = min(max(self.w[7] * self.d0(4) + (1 - self.w[7]) * moved, 1), 10)
            s = max(s, 0.001)
            if state == "learning" and r < 4 and not (r == 3 and step == 1):
                step = {1: 0, 2: step, 3: 1}[r]
                after = {1: 1, 2: 10 if step else 5.5, 3: 10}[r] * MINUTE
            elif state == "review" and r == 1:
                state, after = "relearning", 10 * MINUTE
            elif state == "relearning" and r < 3:
                after = {1: 10, 2: 15}[r] * MINUTE
            else:
                state = "review"
                days = s / self.f * (RETENTION ** (-1 / self.w[20]) - 1)
                after = min(max(round(days), 1), 36_500) * DAY
            last = each.at
        return Due(due_ms=int(last + after), stability=s, difficulty=d, state=state)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_down_is_what_the_package_does(seed: int):
    draws = Random(seed)
    at, reviews = START, []
    for _ in range(25):
        reviews.append(review("c", at, draws.choice((1, 2, 3, 3, 3, 4))))
        at += draws.choice((0, 30_000, 10 * MINUTE, DAY - 1, DAY, 3 * DAY, 40 * DAY))
    found, written = schedule(reviews)["c"], Written().play(reviews)
    assert (found.due_ms, found.state) == (written.due_ms, written.state)
    assert found.stability == pytest.approx(written.stability, rel=1e-9)
    assert found.difficulty == pytest.approx(written.difficulty, rel=1e-9)


@pytest.mark.parametrize(
    ("ratings", "minutes", "state"),
    [
        ((1,), 1, "learning"),
        ((2,), 5.5, "learning"),
        ((3,), 10, "learning"),
        ((3, 2), 10, "learning"),
        ((3, 1), 1, "learning"),
        ((4,), 8 * 24 * 60, "review"),
        ((3, 3), 2 * 24 * 60, "review"),
        ((4, 1), 10, "relearning"),
        ((4, 1, 2), 15, "relearning"),
        ((4, 1, 1), 10, "relearning"),
    ],
)
def test_the_steps_of_a_card(ratings: tuple[int, ...], minutes: float, state: str):
    reviews = [review("c", START + place, rating) for place, rating in enumerate(ratings)]
    found = schedule(reviews)["c"]
    assert found.due_ms - reviews[-1].at == minutes * MINUTE
    assert found.state == state


def test_the_weights_are_those_of_the_installed_package():
    assert weights() == Scheduler().parameters
    assert len(weights()) == 21
    assert Scheduler().desired_retention == RETENTION


def test_cards_do_not_know_each_other_and_the_order_of_the_file_does_not_matter():
    one = [review("a", START, 3), review("a", START + DAY, 3), review("a", START + 4 * DAY, 1)]
    other = [review("b", START + 5, 4), review("b", START + 3 * DAY, 2)]
    mixed = [*other, *reversed(one)]
    assert schedule(mixed) == {**schedule(one), **schedule(other)}
    assert schedule(mixed) == schedule(mixed)
    assert schedule([]) == {}


def test_due_cards_come_by_date_and_new_ones_after():
    reviews = [review("a", START, 3), review("b", START, 1), review("c", START, 4)]
    cards = ["new", "c", "a", "b", "newer"]
    assert due(cards, reviews, START) == ["new", "newer"]
    assert due(cards, reviews, START + MINUTE - 1) == ["new", "newer"]
    assert due(cards, reviews, START + MINUTE) == ["b", "new", "newer"]
    assert due(cards, reviews, START + DAY) == ["b", "a", "new", "newer"]
    assert due(cards, reviews, START + 8 * DAY) == ["b", "a", "c", "new", "newer"]
    assert due(["c"], reviews, START + 8 * DAY) == ["c"]
    assert due(cards, [], START) == cards


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fsrs", None)
    for ask in (weights, lambda: schedule([review("a", START, 3)])):
        with pytest.raises(PipetraceError, match=r'fsrs.*pip install "pipetrace\[learn\]"'):
            ask()
    assert due(["new"], [], START) == ["new"]
