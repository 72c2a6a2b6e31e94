"""Three questions for the quiz and five for practice are chosen by what a run can be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from random import Random

from pipetrace.lessons import anymodel, dropout
from pipetrace.lessons.answering import Answers, Execute, Rejection, answer
from pipetrace.lessons.drafts import Draft
from pipetrace.lessons.registry import LEVELS, NEEDS, Template, templates
from pipetrace.records import Capture, Op, Prediction, Question
from pipetrace.tracefile import Recording

FAMILIES = (dropout, anymodel)
"""The lessons whose templates are drawn: importing a family registers them."""

QUIZ = 3
PRACTICE = {"easy": 2, "medium": 2, "hard": 1}
_ATTEMPTS = 3
"""Draws of one template before another takes its place."""


def draft(recording: Recording, seed: int = 0) -> list[Draft]:
    """Draft three quiz questions and five for practice, before anything is executed.

    Their templates are different. Those about what this run shows come first, and of those the
    ones about dropout; the quiz takes subjects (files of a lesson) in turn. A run without a
    captured forward is asked nothing.

    Args:
        recording: the run.
        seed: of the choice and of the numbers in it.
    """
    recording = _of_chosen(recording)
    found: list[Draft] = []
    for count, candidates in _slots(recording, seed):
        drafts = (template.draft(recording, seed) for template in candidates)
        found += islice((each for each in drafts if each is not None), count)
    return found


def questions(recording: Recording, execute: Execute, seed: int = 0) -> Answers:
    """Draft and execute the questions of a run, replacing each draft that is rejected.

    Args:
        recording: the run.
        execute: `pipetrace.probes.execute.execute`.
        seed: of the choice, the numbers and the order of the options.
    """
    recording = _of_chosen(recording)
    asked: list[Question] = []
    rejections: list[Rejection] = []
    for count, candidates in _slots(recording, seed):
        open_places = count
        for template in candidates:
            if not open_places:
                break
            answers = _ask(template, recording, execute, seed)
            asked += answers.questions
            rejections += answers.rejections
            open_places -= len(answers.questions)
    return Answers(questions=tuple(asked), rejections=tuple(rejections))


def _of_chosen(recording: Recording) -> Recording:
    """Leave out what is known of other samples than the chosen one: nobody is asked about them."""
    others = {item.capture for item in recording.all(Prediction) if item.role != "chosen"}
    if not others:
        return recording
    facts = [
        fact
        for fact in recording.facts
        if not (isinstance(fact, (Op, Prediction)) and fact.capture in others)
        and not (isinstance(fact, Capture) and fact.id in others)
    ]
    return Recording(facts, recording.series, recording.path, recording.written, recording.ranks)


def _ask(template: Template, recording: Recording, execute: Execute, seed: int) -> Answers:
    """Draw a template until a draft of it stands its execution, a few times at most."""
    rejections: list[Rejection] = []
    for attempt in range(_ATTEMPTS):
        drawn = template.draft(recording, seed + 1_000_003 * attempt)
        if drawn is None:
            break
        answers = answer([drawn], execute, seed)
        rejections += answers.rejections
        if answers.questions:
            return Answers(questions=answers.questions, rejections=tuple(rejections))
    return Answers(questions=(), rejections=tuple(rejections))


def _slots(recording: Recording, seed: int) -> list[tuple[int, list[Template]]]:
    """Return how many questions to ask of which templates, the preferred ones first."""
    if recording.first(Capture) is None:
        return []
    random = Random(f"{seed}/choice")
    slots = [(QUIZ, _preferred(templates("quiz"), random))]
    for level in LEVELS:
        of_level = [template for template in templates("practice") if template.level == level]
        slots.append((PRACTICE[level], _preferred(of_level, random)))
    return slots


def _preferred(candidates: list[Template], random: Random) -> list[Template]:
    """Shuffle templates; put first what rests on more of the run, and take subjects in turn."""
    seen: Counter[str] = Counter()
    turns: dict[str, tuple[int, int, int]] = {}
    for template in random.sample(candidates, len(candidates)):
        subject = template.write.__module__
        turns[template.id] = (NEEDS.index(template.needs), seen[subject], len(turns))
        seen[subject] += 1
    return sorted(candidates, key=lambda template: turns[template.id])


def bank(
    recording: Recording, execute: Execute, seed: int = 0, lesson: str | None = None
) -> Answers:
    """Draw and execute every template that the run can be asked.

    Args:
        recording: the run.
        execute: `pipetrace.probes.execute.execute`.
        seed: of the numbers and the order of the options.
        lesson: only of this one; of all if None.
    """
    recording = _of_chosen(recording)
    every = templates() if recording.first(Capture) is not None else []
    found = [
        _ask(template, recording, execute, seed)
        for template in every
        if lesson in (None, template.lesson)
    ]
    return Answers(
        questions=tuple(question for answers in found for question in answers.questions),
        rejections=tuple(rejection for answers in found for rejection in answers.rejections),
    )


def exam(questions: Sequence[Question], seed: int) -> list[Question]:
    """Choose ten questions: three easy, four of medium difficulty, three hard.

    Args:
        questions: what can be asked.
        seed: of the choice.
    """
    random, chosen = Random(f"{seed}/exam"), []
    for level, count in {"easy": 3, "medium": 4, "hard": 3}.items():
        of_level = [question for question in questions if question.level == level]
        chosen += random.sample(of_level, min(count, len(of_level)))
    chosen += [question for question in questions if question not in chosen][: 10 - len(chosen)]
    return chosen
