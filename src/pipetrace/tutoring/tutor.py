"""A lesson is made in the order in which a learner needs it, and answers what its page asks."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import torch
from msgspec.structs import replace

from pipetrace.blocks import AnyBlock, Attempt, Event, Experiment, Page
from pipetrace.errors import ArgumentsError, PipetraceError
from pipetrace.learned import Answer, Whole
from pipetrace.learner import difficulty
from pipetrace.learner.log import Log
from pipetrace.learner.schedule import DAY
from pipetrace.lessons import select
from pipetrace.lessons.answering import outcome_text
from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.folder import Lesson
from pipetrace.lessons.registry import templates
from pipetrace.lessons.taught import Bug, Taught, Tried
from pipetrace.probes.execute import execute
from pipetrace.records import Outcome, Question
from pipetrace.story.lesson import bugs, page, studies
from pipetrace.tracefile import Recording
from pipetrace.tutoring import buggy
from pipetrace.tutoring.notes import now
from pipetrace.tutoring.trainer import Trainer

T = TypeVar("T")
Action = Callable[[Mapping[str, Any]], Sequence[Any]]


def alone() -> None:
    """Let torch use one thread in this process, which is ours alone.

    What a lesson trains is so small that threads cost more than they bring, and with one of them
    its numbers do not depend on the number of cores.
    """
    torch.set_num_threads(1)


def run_example(lesson: Lesson, out: Path) -> Recording:
    """Run the example of a lesson, record it in a folder, and let it print nothing.

    Raises:
        PipetraceError: the example raised, or the folder cannot be written to.
    """
    from pipetrace import api

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        run = api.run(lesson.example, out=out, name=lesson.id)
    if run.code:
        raise PipetraceError(f"{lesson.example} failed:\n{printed.getvalue()}")
    assert run.recording is not None
    return run.recording


class Tutor:
    """Makes a lesson on a run, and keeps what its learner answers.

    Args:
        lesson: The lesson.
        recording: The run that it is about.
        own: Whether this is the learner's own run, not that of the example.
        seed: Of the questions: another seed is a parallel form of all of them.
        log: The learner's file.
        weights: Parameters of the scheduler of cards.
    """

    def __init__(
        self, lesson: Lesson, recording: Recording, *, log: Log, own: bool = False, seed: int = 0,
        weights: tuple[float, ...] = (),
    ) -> None:  # fmt: skip
        study = lesson.about.study
        pending = (
            *(("studies",) if study and study.comparisons else ()),
            *(("checks",) if lesson.about.checks else ()),
            *(("experiment",) if study and study.target and study.knobs else ()),
        )
        self.taught = Taught(lesson=lesson, recording=recording, own=own, seed=seed,
                             weights=weights, pending=pending)  # fmt: skip
        self._log = log
        self.events: list[Event] = log.events(lesson.id)
        """What the learner did so far."""
        self._trainer = Trainer(lesson) if study else None
        # Random streams and recordings are the process's: one thing is executed at a time.
        self._executing = threading.Lock()
        self.renewed: Callable[[], None] = lambda: None
        """Called when the page has become another."""

    def page(self) -> Page:
        """Return the page as far as it has been made."""
        return page.page(self.taught, tuple(self.events))

    def first(self) -> None:
        """Execute what the page needs to be usable: its text, its cards, its questions.

        Raises:
            LessonError: a demonstration or a fact does not come to what it should.
        """
        lesson = self.taught.lesson
        with self._executing:
            text = lesson.folder / "content.md"
            demos = {
                demo.id: _executed(demo.code, f"{text}, line {demo.line}", demo.raises)
                for demo in lesson.demos()
            }
            cards = {card.id: _executed(card.code, card.id) for card in lesson.cards if card.code}
            asked = self.ask()
        self._renew(demos=demos, cards=cards, bank=asked)
        self.taught.facts()

    def ask(self) -> tuple[Question, ...]:
        """Draw and execute the questions, each at the level that its answers so far give it."""
        taught = self.taught
        own = any(template.lesson == taught.lesson.id for template in templates())
        lesson = taught.lesson.id if own else None
        asked = select.bank(taught.recording, execute, taught.seed, lesson).questions
        answers = [event for event in self.events if isinstance(event, Answer)]
        known = difficulty.Difficulty(answers)
        return tuple(replace(each, level=known.level(each.id, each.level)) for each in asked)

    def rest(self) -> Iterator[None]:
        """Measure and check, a little at a time, what the page can wait for; once only.

        What fails is said where it should stand; the others are made all the same.
        """
        trainer, pending, about = self._trainer, self.taught.pending, self.taught.lesson.about
        study = about.study
        if "studies" in pending and study and trainer:
            for comparison in study.comparisons:
                for measured in self._in_turn("studies", trainer.compared(comparison)):
                    if measured is not None:
                        self._renew(measured=(*self.taught.measured, measured))
                    yield
        self._done("studies")
        for rule in about.checks if "checks" in pending else ():
            for bug in self._in_turn("checks", map(buggy.check, (rule,))):
                self._renew(bugs=(*self.taught.bugs, bug))
                yield
        self._done("checks")
        tried: list[Tried] = []
        if "experiment" in pending and study and trainer:
            for choices in study.choices():
                for each in self._in_turn("experiment", map(trainer.tried, (choices,))):
                    tried.append(each)
                    yield
            self._renew(tried=tuple(tried))
            if tried and (tried[0].reached or not any(each.reached for each in tried)):
                wrong = (
                    "the first choice reaches it" if tried[0].reached else "no choice reaches it"
                )
                failed = {"experiment": f"On this machine the target is no target: {wrong}."}
                self._renew(failed={**failed, **self.taught.failed})
        self._done("experiment")

    @property
    def actions(self) -> dict[str, Action]:
        """What the page may ask of this process, by name."""
        asked: dict[str, Action] = {"learned": self._learned}
        if self.taught.lesson.about.checks:
            asked["again"] = self._again
        study = self.taught.lesson.about.study
        if study and study.target and study.knobs:
            asked["experiment"] = self._experiment
        return asked

    def learned(self, event: Event) -> None:
        """Keep what the learner did.

        Raises:
            ArgumentsError: it belongs to another lesson, or to a time to come.
            PipetraceError: the learner's file cannot be written to.
        """
        if event.lesson != self.taught.lesson.id or event.at > now() + DAY:
            raise ArgumentsError("This was not done here, or has not been done yet.")
        if event in self.events:
            return
        self._log.append(event)
        self.events.append(event)
        self.renewed()

    def experiment(self, choices: Sequence[int], seed: int = 0) -> Attempt:
        """Train one choice of settings, unless it was trained already.

        Raises:
            PipetraceError: there is no such choice.
        """
        study, trainer = self.taught.lesson.about.study, self._trainer
        if study is None or trainer is None or study.target is None:
            raise PipetraceError("This lesson has no experiment.")
        wanted = tuple(choices)
        for tried in self.taught.tried:
            if (tried.choices, tried.seed) == (wanted, seed):
                return studies.attempt(study, tried)
        if wanted not in set(study.choices()):
            raise ArgumentsError("Choose a value that is listed for each setting.")
        with self._executing:
            return studies.attempt(study, trainer.tried(wanted, seed))

    def _experiment(self, arguments: Mapping[str, Any]) -> Sequence[AnyBlock]:
        asked = _read(arguments, _Settings)
        attempt = self.experiment(asked.choices, asked.seed)
        return (Experiment(title="", target="", knobs=(), attempts=(attempt,)),)

    def _again(self, arguments: Mapping[str, Any]) -> Sequence[AnyBlock]:
        rule, _, kind = _read(arguments, _Again).again.partition("/")
        known = {bug.rule: bug for bug in self.taught.bugs}
        if rule not in known or kind not in buggy.KINDS:
            raise ArgumentsError("There is no such program here.")
        with self._executing:
            found = buggy.findings(buggy.rule(rule), kind)
        bug: Bug = replace(known[rule], left=len(found))
        return bugs.found(bug) if kind == "fires" and found else bugs.left(bug)

    def _learned(self, arguments: Mapping[str, Any]) -> Sequence[AnyBlock]:
        self.learned(_read(arguments, _Learned).event)
        return ()

    def _in_turn(self, part: str, made: Iterator[T]) -> Iterator[T]:
        """Let what readers ask for come in between; say what fails, and go on behind it."""
        while True:
            with self._executing:
                try:
                    value = next(made)
                except StopIteration:
                    return
                except Exception as error:
                    text = str(error) or type(error).__name__
                    if not isinstance(error, PipetraceError):
                        text = f"{type(error).__name__}: {error}"
                    failed = {**self.taught.failed, part: text}
                    self._renew(failed=failed)
                    return
            yield value

    def _done(self, part: str) -> None:
        if part in self.taught.pending:
            self._renew(pending=tuple(each for each in self.taught.pending if each != part))

    def _renew(self, **changed: Any) -> None:
        self.taught = replace(self.taught, **changed)
        self.renewed()


class _Settings(msgspec.Struct):
    choices: tuple[Whole, ...]
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0


class _Again(msgspec.Struct):
    again: str


class _Learned(msgspec.Struct):
    event: Event


def _read(arguments: Mapping[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as error:
        raise ArgumentsError(f"This cannot be read: {error}.") from None


def _executed(code: str, name: str, raises: str = "") -> Outcome:
    outcome = execute(code)
    if outcome.error != raises:
        raise LessonError(
            f"The demonstration {name!r} should {f'raise {raises}' if raises else 'run'}, and came "
            f"to {outcome_text(outcome)!r}."
        )
    return outcome
