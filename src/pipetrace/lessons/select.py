"""Which questions a run is asked: a quiz, practice and a test, or all that a lesson can ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from pipetrace.lessons import anymodel, batchnorm, dropout
from pipetrace.lessons.answering import Answers, Execute, Rejection, answer
from pipetrace.lessons.registry import EXAM, LEVELS, NEEDS, Template, templates
from pipetrace.records import Capture, Op, Prediction, Question
from pipetrace.tracefile import Recording

Ask = Callable[[Template, int], Question | None]
"""Draws and executes a template by a seed; None where the run cannot be asked."""

FAMILIES = (dropout, batchnorm, anymodel)
"""The lessons whose templates are drawn: importing a family registers them."""
GENERAL = "anymodel"
"""The family whose templates any run can be asked."""

QUIZ = 3
PRACTICE = {"easy": 2, "medium": 2, "hard": 1}
_ATTEMPTS = 3
"""Draws of one template before another takes its place."""
_APART = 1_000_003
"""Between the seeds of two draws."""


def questions(recording: Recording, execute: Execute, seed: int = 0) -> Answers:
    """Draft and execute the questions of a run's own page: quiz, practice and a test.

    Three for the quiz, about what the run shows, of different subjects (files of a lesson); five
    for practice and ten for the test, of the lesson that the run is about, filled up with what any
    run can be asked. No template is asked twice. A draft that is rejected is replaced. A run
    without a captured forward is asked nothing.

    Args:
        recording: the run.
        execute: `pipetrace.probes.execute.execute`.
        seed: of the choice, the numbers and the order of the options.
    """
    recording = _of_chosen(recording)
    if recording.first(Capture) is None:
        return Answers(questions=(), rejections=())
    drawn = _Drawn(recording, execute, seed)
    random = Random(f"{seed}/choice")
    about = subject(recording)
    drawn.take(QUIZ, _preferred(templates("quiz"), random), "quiz")
    for level, count in PRACTICE.items():
        drawn.take(count, _of_lesson(about, templates("practice", level), random), "practice")
    for level, count in EXAM.items():
        drawn.take(count, _of_lesson(about, templates(level=level), random), "test")
    return drawn.answers()


def bank(
    recording: Recording, execute: Execute, seed: int = 0, lesson: str | None = None
) -> Answers:  # fmt: skip
    """Draw and execute every template that a run can be asked, each once, in random order.

    Of a run without a captured forward those are asked that rest on torch alone.

    Args:
        recording: the run.
        execute: `pipetrace.probes.execute.execute`.
        seed: of the numbers and the order of the options: another seed is a parallel form.
        lesson: the lesson to ask about; by default that of the run's subject and what any run can
            be asked.
    """
    recording = _of_chosen(recording)
    drawn = _Drawn(recording, execute, seed)
    found = _candidates(recording, lesson)
    Random(f"{seed}/bank").shuffle(found)
    drawn.take(len(found), found)
    return drawn.answers()


def asking(
    recording: Recording, execute: Execute, lesson: str | None = None
) -> tuple[list[Template], Ask]:
    """Return the templates that `bank` draws, and what draws and executes one of them by a seed.

    Args:
        recording: the run.
        execute: `pipetrace.probes.execute.execute`.
        lesson: as for `bank`.
    """
    recording = _of_chosen(recording)

    def ask(template: Template, seed: int) -> Question | None:
        drawn = _Drawn(recording, execute, seed)
        drawn.take(1, [template])
        return next(iter(drawn.answers().questions), None)

    return _candidates(recording, lesson), ask


def exams(asked: Sequence[Question], count: int, seed: int = 0) -> list[list[Question]]:
    """Choose tests of ten from a bank: three easy questions, four medium and three hard.

    Two share a question only once the bank is used up. Where a level has too few, its neighbours
    help out.

    Args:
        asked: the questions to choose from.
        count: how many tests.
        seed: of the choice.

    >>> exams([], 2)
    [[], []]
    """
    random = Random(f"{seed}/exam")
    rank = {id(question): random.random() for question in asked}
    used: Counter[int] = Counter()
    forms = []
    for _ in range(count):
        form: list[Question] = []
        for level, wanted in EXAM.items():
            near = sorted(
                (question for question in asked if question not in form),
                key=lambda each: (
                    abs(LEVELS.index(each.level) - LEVELS.index(level)),
                    used[id(each)],
                    rank[id(each)],
                ),
            )
            form += near[:wanted]
        used.update(map(id, form))
        forms.append(sorted(form, key=lambda each: LEVELS.index(each.level)))
    return forms


def subject(recording: Recording) -> str:
    """Return the lesson that a run is about: the first whose own subject it met.

    It is `anymodel` where none was met.
    """
    for template in templates():
        drafts = template.needs == NEEDS[0] and template.draft(recording, 0) is not None
        if drafts:
            return template.lesson
    return GENERAL


class _Drawn:
    """Questions that stood their execution, and the templates that were used up for them."""

    def __init__(self, recording: Recording, execute: Execute, seed: int) -> None:
        self._recording, self._execute, self._seed = recording, execute, seed
        self._used: set[str] = set()
        self._questions: list[Question] = []
        self._rejections: list[Rejection] = []

    def take(self, count: int, candidates: Iterable[Template], group: str = "") -> None:
        """Ask so many of these templates, the first ones first, as questions of a group."""
        for template in candidates:
            if not count:
                return
            if template.id in self._used:
                continue
            for question in self._ask(template):
                self._used.add(template.id)
                count -= 1
                of_group = msgspec.structs.replace(question, group=group or question.group)
                self._questions.append(of_group)

    def answers(self) -> Answers:
        return Answers(questions=tuple(self._questions), rejections=tuple(self._rejections))

    def _ask(self, template: Template) -> tuple[Question, ...]:
        """Draw a template until a draft of it stands its execution, a few times at most."""
        for attempt in range(_ATTEMPTS):
            drawn = template.draft(self._recording, self._seed + _APART * attempt)
            if drawn is None:
                break
            answers = answer([drawn], self._execute, self._seed)
            self._rejections += answers.rejections
            if answers.questions:
                return answers.questions
        return ()


def _candidates(recording: Recording, lesson: str | None) -> list[Template]:
    """Return the templates of a lesson, or of the run's subject and of any run."""
    asked = (subject(recording), GENERAL) if lesson is None else (lesson,)
    bare = recording.first(Capture) is None
    return [
        template
        for template in templates()
        if template.lesson in asked and not (bare and template.needs != NEEDS[-1])
    ]


def _of_chosen(recording: Recording) -> Recording:
    """Leave out what is known of other samples than the chosen one: nobody is asked about them."""
    others = {item.capture for item in recording.all(Prediction) if item.role != "chosen"}
    others |= {item.id for item in recording.all(Capture) if item.apart}
    if not others:
        return recording
    facts = [
        fact
        for fact in recording.facts
        if not (isinstance(fact, (Op, Prediction)) and fact.capture in others)
        and not (isinstance(fact, Capture) and fact.id in others)
    ]
    return Recording(facts, recording.series, recording.path, recording.written, recording.ranks)


def _preferred(candidates: list[Template], random: Random) -> list[Template]:
    """Shuffle templates; put first what rests on more of the run, and take subjects in turn."""
    seen: Counter[str] = Counter()
    turns: dict[str, tuple[int, int, int]] = {}
    for template in random.sample(candidates, len(candidates)):
        subject = template.write.__module__
        turns[template.id] = (NEEDS.index(template.needs), seen[subject], len(turns))
        seen[subject] += 1
    return sorted(candidates, key=lambda template: turns[template.id])


def _of_lesson(about: str, candidates: list[Template], random: Random) -> list[Template]:
    """Shuffle templates; put first those of a lesson, then those that any run can be asked."""
    order = {about: 0, GENERAL: 1}
    mixed = random.sample(candidates, len(candidates))
    return sorted(
        (template for template in mixed if template.lesson in order),
        key=lambda template: order[template.lesson],
    )
