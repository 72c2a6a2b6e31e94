"""A test's interval, its verdict, and what wrong answers say about what to practise."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, binomtest

from pipetrace.exercises import Exam
from pipetrace.learned import Answer
from pipetrace.learner.verdict import GROWING, HARD, STRONG, interval, next_steps, verdict


def answer(question: str, right: bool, misconception: str = "") -> Answer:
    return Answer(
        lesson="dropout", at=0, question=question, form=0, option=0, right=right,
        misconception=misconception,
    )  # fmt: skip


@pytest.mark.parametrize("total", [1, 2, 3, 10, 37, 1000])
def test_the_interval_is_that_of_scipy(total: int):
    for right in range(0, total + 1, max(1, total // 20)):
        known = binomtest(right, total).proportion_ci(0.95, method="wilson")
        assert interval(right, total) == pytest.approx((known.low, known.high), abs=1e-12)


def test_the_ends_are_exact_where_nothing_or_all_was_right():
    assert interval(0, 10)[0] == 0.0
    assert interval(10, 10)[1] == 1.0
    assert interval(0, 0) == (0.0, 1.0)
    assert 0 < interval(1, 10)[0] < 0.1 < interval(1, 10)[1] < 1


def test_the_interval_holds_the_true_share_in_about_95_of_100_tests():
    shares = [place / 200 for place in range(10, 191)]
    covered = []
    for share in shares:
        inside = (right for right in range(11)
                  if interval(right, 10)[0] <= share <= interval(right, 10)[1])  # fmt: skip
        covered.append(sum(binom.pmf(right, 10, share) for right in inside))
    assert math.fsum(covered) / len(covered) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(("right", "total"), [(-1, 10), (11, 10), (1, 0)])
def test_more_than_all_cannot_be_right(right: int, total: int):
    with pytest.raises(ValueError, match="cannot be right"):
        interval(right, total)


def test_the_verdict_of_every_test_of_ten():
    found = {(right, hard): verdict(right, hard)
             for right in range(11) for hard in range(4)}  # fmt: skip
    assert {key for key, said in found.items() if said == "strong"} == {
        (right, hard) for right in (8, 9, 10) for hard in (2, 3)
    }
    assert {right for (right, _), said in found.items() if said == "not yet"} == set(range(6))
    assert all(found[right, hard] == "growing" for right in (8, 9, 10) for hard in (0, 1))
    assert {found[right, 3] for right in (6, 7)} == {"growing"}


def test_bounds_may_be_others():
    assert verdict(5, 1, strong=5, least=1, growing=3) == "strong"
    assert verdict(5, 0, strong=5, least=1, growing=3) == "growing"
    assert verdict(2, 1, strong=5, least=1, growing=3) == "not yet"


def test_a_page_grades_by_the_same_bounds():
    exam = Exam(id="e", title="Test", questions=(), forms=(), intervals=())
    assert (exam.strong, exam.hard, exam.growing) == (STRONG, HARD, GROWING)


def test_what_most_wrong_answers_point_to_comes_first():
    steps = next_steps([
        answer("D101", False, "no-rescale"),
        answer("D102", False),
        answer("D103", False, "percent"),
        answer("D104", False, "no-rescale"),
        answer("D105", True),
    ])  # fmt: skip
    assert [(step.id, step.wrong, step.questions, step.misconception) for step in steps] == [
        ("no-rescale", 2, ("D101", "D104"), True),
        ("percent", 1, ("D103",), True),
        ("D102", 1, ("D102",), False),
    ]


def test_a_right_answer_ends_what_was_wrong_before_it():
    wrong = [answer("D101", False, "no-rescale"), answer("D101", False, "percent")]
    assert next_steps([*wrong, answer("D101", True)]) == ()
    again = next_steps([*wrong, answer("D101", True), answer("D101", False, "percent")])
    assert [(step.id, step.wrong) for step in again] == [("percent", 1)]
    assert len(next_steps([*wrong, answer("D102", True)])) == 2
    assert next_steps([]) == ()
