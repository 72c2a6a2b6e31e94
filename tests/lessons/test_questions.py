"""Recorded questions become three sections that a view can grade."""

from __future__ import annotations

from pipetrace.blocks import Exam
from pipetrace.blocks import Question as QuestionBlock
from pipetrace.lessons.select import questions
from pipetrace.probes.execute import execute
from pipetrace.records import Question
from pipetrace.story.questions import practice, quiz
from pipetrace.story.questions import test as examine
from pipetrace.tracefile import Recording


def asked(run: Recording) -> Recording:
    return Recording([*run.facts, *questions(run, execute).questions], {}, None)


def test_three_and_five(seed_run: Recording) -> None:
    run = asked(seed_run)
    first, second = quiz(run), practice(run)
    assert first is not None
    assert second is not None
    assert (len(first.blocks), len(second.blocks)) == (3, 5)
    recorded = run.all(Question)[:8]
    for block, question in zip(first.blocks + second.blocks, recorded, strict=True):
        assert isinstance(block, QuestionBlock)
        assert (block.id, block.level, block.text) == (question.id, question.level, question.text)
        for option, choice in zip(block.options, question.choices, strict=True):
            assert (option.text, option.correct) == (choice.text, choice.correct)
            assert option.feedback.startswith(choice.feedback)
            assert choice.outcome.rstrip(".") in option.feedback
            assert all(line in option.feedback for line in choice.executed.splitlines())


def test_ten_make_a_test(seed_run: Recording) -> None:
    content = examine(asked(seed_run))
    assert content is not None
    (exam,) = content.blocks
    assert isinstance(exam, Exam)
    assert exam.forms == (tuple(range(10)),)
    assert [question.level for question in exam.questions] == (
        ["easy"] * 3 + ["medium"] * 4 + ["hard"] * 3
    )
    assert [round(high, 2) for _, high in exam.intervals][-1] == 1.0
    assert all(question.subject for question in exam.questions)
    few = [each for each in asked(seed_run).facts if not isinstance(each, Question)]
    assert examine(Recording(few, {}, None)) is None


def test_nothing_recorded_nothing_shown(seed_run: Recording) -> None:
    assert quiz(seed_run) is None
    assert practice(seed_run) is None


def test_a_run_without_dropout_says_so(seed_run: Recording, plain_run: Recording) -> None:
    with_dropout, without = practice(asked(seed_run)), practice(asked(plain_run))
    assert with_dropout is not None
    assert without is not None
    assert "No dropout was captured" in without.intro
    assert "No dropout was captured" not in with_dropout.intro
