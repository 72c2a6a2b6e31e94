"""A thousand tests are drawn: no question twice in one, and no place or length tells the key."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from pipetrace.lessons.answering import LETTERS
from pipetrace.lessons.registry import EXAM
from pipetrace.lessons.select import bank, exams
from pipetrace.probes.execute import execute
from pipetrace.records import Question
from pipetrace.tracefile import Recording

SEEDS = 20
FORMS = 50
CRITICAL = 16.27
"""The 99.9 % point of chi-square with three degrees of freedom."""


@pytest.fixture(scope="module")
def banks(seed_run: Recording) -> list[tuple[Question, ...]]:
    return [bank(seed_run, execute, seed, "dropout").questions for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def tests(banks: list[tuple[Question, ...]]) -> list[list[Question]]:
    return [exams(asked, 1, form)[0] for asked in banks for form in range(FORMS)]


def key(question: Question) -> int:
    return next(place for place, choice in enumerate(question.choices) if choice.correct)


def test_a_thousand_tests_of_ten(tests: list[list[Question]]):
    assert len(tests) == 1000
    for asked in tests:
        assert [each.level for each in asked] == [
            level for level, count in EXAM.items() for _ in range(count)
        ]
        assert len({each.id for each in asked}) == 10
        assert len({(each.text, each.code, each.choices) for each in asked}) == 10
    assert len({tuple(sorted(each.id for each in asked)) for asked in tests}) > 900


def test_the_key_stands_anywhere(banks: list[tuple[Question, ...]], tests: list[list[Question]]):
    """Over all questions drawn, which are independent, and in every tenth of the tests."""
    for asked in (list(itertools.chain.from_iterable(banks)),):
        counts = Counter(map(key, asked))
        expected = len(asked) / 4
        assert sum((counts[at] - expected) ** 2 / expected for at in range(4)) < CRITICAL
    drawn = Counter(key(question) for asked in tests for question in asked)
    assert all(0.22 < drawn[place] / 10_000 < 0.28 for place in range(4)), LETTERS


@pytest.mark.parametrize("pick", [max, min], ids=["longest", "shortest"])
def test_length_gives_nothing_away(tests: list[list[Question]], pick):
    """Who always takes the longest option, or the shortest, gets what guessing gives."""
    hits = []
    for question in itertools.chain.from_iterable(tests):
        lengths = [len(choice.text) for choice in question.choices]
        best = [place for place, size in enumerate(lengths) if size == pick(lengths)]
        hits.append((key(question) in best) / len(best))
    assert 0.19 < sum(hits) / len(hits) < 0.31


def test_parallel_forms_differ(banks: list[tuple[Question, ...]]):
    """Of every template some of the twenty draws are different questions, order apart."""
    same = []
    for name in {question.id for question in banks[0]}:
        drawn = {
            (each.text, each.code, tuple(sorted(choice.text for choice in each.choices)))
            for asked in banks
            for each in asked
            if each.id == name
        }
        if len(drawn) < 3:
            same.append(name)
    assert same == []


def test_forms_share_nothing_until_the_bank_is_used_up(banks: list[tuple[Question, ...]]):
    forms = exams(banks[0], 5, seed=1)
    used = [question.id for form in forms for question in form]
    assert len(used) == len(set(used)) == 50
    assert exams(banks[0], 5, seed=1) == forms
    assert exams(banks[0], 5, seed=2) != forms
    few = [question for question in banks[0] if question.level != "hard"][:12]
    (form,) = exams(few, 1)
    assert len({question.id for question in form}) == 10
