"""Difficulties that are estimated are compared with those that answers were simulated with."""

from __future__ import annotations

import math
from random import Random

import pytest
from scipy.stats import spearmanr

from pipetrace.learned import Answer
from pipetrace.learner.difficulty import ENOUGH, Difficulty


def answer(question: str, form: int, right: bool, level: str = "medium") -> Answer:
    return Answer(
        lesson="l", at=0, question=question, form=form, option=0, right=right, level=level
    )


def simulate(
    truth: dict[str, float], able: float, times: int, seed: int,
    levels: dict[str, str] | None = None,
) -> list[Answer]:  # fmt: skip
    """Answer every question so many times, each with other numbers, in an order that is drawn."""
    draws = Random(seed)
    places = [(question, form) for question in truth for form in range(times)]
    draws.shuffle(places)
    return [
        answer(question, form, draws.random() < 1 / (1 + math.exp(truth[question] - able)),
               (levels or {}).get(question, "medium"))
        for question, form in places
    ]  # fmt: skip


TRUTH = {f"q{place:02}": -2.4 + 0.2 * place for place in range(25)}


@pytest.mark.parametrize("able", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_estimates_come_in_the_order_of_the_truth(able: float, seed: int):
    found = Difficulty(simulate(TRUTH, able, 60, seed))
    estimates = [found.of(question, "medium") for question in TRUTH]
    assert spearmanr(estimates, list(TRUTH.values())).statistic > 0.9
    assert found.ability() == pytest.approx(able, abs=0.8)


def test_more_answers_come_closer():
    def apart(times: int) -> float:
        ranks = []
        for seed in range(5):
            found = Difficulty(simulate(TRUTH, 0.5, times, seed))
            estimates = [found.of(question, "medium") for question in TRUTH]
            ranks.append(spearmanr(estimates, list(TRUTH.values())).statistic)
        return sum(ranks) / len(ranks)

    assert apart(2) < apart(8) < apart(40)


def test_without_answers_a_question_is_as_hard_as_its_level():
    found = Difficulty([])
    assert [found.of("q", level) for level in ("easy", "medium", "hard")] == [-1.0, 0.0, 1.0]
    assert found.of("q", "unheard of") == 0.0
    assert found.ability() == 0.0
    assert [found.level("q", level) for level in ("easy", "medium", "hard", "")] == [
        "easy", "medium", "hard", "",
    ]  # fmt: skip


def test_one_answer_moves_little_and_the_hundredth_less():
    assert Difficulty([answer("q", 0, False)]).of("q", "medium") == pytest.approx(0.245)
    assert Difficulty([answer("q", 0, True)]).of("q", "medium") == pytest.approx(-0.245)
    many = simulate({"q": 0.0}, 0.0, 100, 0)
    before = Difficulty(many).of("q", "medium")
    after = Difficulty([*many, answer("q", 100, False)]).of("q", "medium")
    assert 0 < after - before < 0.05


@pytest.mark.parametrize("right", [True, False])
def test_few_answers_change_no_level(right: bool):
    for level in ("easy", "medium", "hard"):
        few = [answer("q", form, right, level) for form in range(ENOUGH - 1)]
        assert Difficulty(few).level("q", level) == level


def test_a_question_that_a_good_learner_never_masters_becomes_hard():
    levels = {"trap": "easy", "plain": "easy"}
    truth = {"trap": 2.5, "plain": -1.0, **{f"other{n}": 0.0 for n in range(6)}}
    found = Difficulty(simulate(truth, 0.5, 20, 1, levels))
    assert found.level("trap", "easy") == "hard"
    assert found.level("plain", "easy") == "easy"


def test_levels_that_are_true_mostly_stay():
    levels = {f"q{place}": ("easy", "medium", "hard")[place % 3] for place in range(30)}
    start = {"easy": -1.0, "medium": 0.0, "hard": 1.0}
    truth = {question: start[level] for question, level in levels.items()}
    changed = 0
    for seed in range(10):
        found = Difficulty(simulate(truth, 0.0, 8, seed, levels))
        changed += sum(found.level(question, level) != level for question, level in levels.items())
    assert changed < 0.05 * 300


def test_the_same_form_counts_once():
    first = [answer("q", 0, False), answer("q", 1, True)]
    again = [*first, *[answer("q", 0, True)] * 10]
    assert Difficulty(again).of("q", "medium") == Difficulty(first).of("q", "medium")
    assert Difficulty(again).ability() == Difficulty(first).ability()


def test_ability_follows_one_who_learns():
    before = simulate(TRUTH, -1.5, 20, 3)
    later = [
        Answer(lesson="l", at=1, question=each.question, form=each.form + 20, option=0,
               right=each.right, level="medium")
        for each in simulate(TRUTH, 1.5, 20, 4)
    ]  # fmt: skip
    assert Difficulty(before).ability() < -0.8
    assert Difficulty([*before, *later]).ability() > 0.8


def test_the_same_answers_give_the_same_numbers():
    answers = simulate(TRUTH, 0.3, 5, 9)
    one, other = Difficulty(answers), Difficulty(list(answers))
    assert [one.of(q, "medium") for q in TRUTH] == [other.of(q, "medium") for q in TRUTH]
