"""A draft becomes a question only if every option was executed and only the key comes true."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random

import msgspec

from pipetrace.lessons.drafts import Draft, LessonError, Option, fill
from pipetrace.lessons.registry import belief
from pipetrace.records import Choice, Outcome, Question

Execute = Callable[[str], Outcome]
"""Runs a snippet; `pipetrace.probes.execute.execute` is the real one."""

LETTERS = "ABCDEFGH"
_LONGER = 1.3
"""A key longer than this times the longest distractor would give itself away."""
_LONG = 20
"""Characters from which on the length of a key is looked at."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A draft that was not asked, and why."""

    id: str
    reason: str


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The questions that stood their execution, and the drafts that did not."""

    questions: tuple[Question, ...]
    rejections: tuple[Rejection, ...]


class _RefusedError(Exception):
    """Carries the reason for a rejection to `answer`."""


def answer(drafts: Iterable[Draft], execute: Execute, seed: int = 0) -> Answers:
    """Execute every option of every draft, reject what does not hold, and shuffle the rest.

    A draft is rejected where the key does not come to what the run recorded, a distractor comes to
    the key, code raises what it did not announce, two options read the same, or the key's length
    gives it away.

    Args:
        drafts: what to ask.
        execute: runs a snippet and returns its outcome.
        seed: of the order of the options.

    Raises:
        LessonError: a draft is wrong whatever the run (no key, an unknown name or misconception).
    """
    questions: list[Question] = []
    rejections: list[Rejection] = []
    for draft in drafts:
        try:
            questions.append(_settle(draft, execute, seed))
        except _RefusedError as refusal:
            rejections.append(Rejection(id=draft.id, reason=str(refusal)))
    return Answers(questions=tuple(questions), rejections=tuple(rejections))


def outcome_text(outcome: Outcome) -> str:
    """Return what a snippet came to, in one line.

    >>> outcome_text(Outcome(error="ValueError", message="p is 30"))
    'ValueError: p is 30'
    """
    return f"{outcome.error}: {outcome.message}" if outcome.error else outcome.value


def _settle(draft: Draft, execute: Execute, seed: int) -> Question:
    if sum(option.correct for option in draft.options) != 1 or len(draft.options) < 2:
        raise LessonError(f"{draft.id}: expected two options or more, exactly one of them correct.")
    names = dict(draft.given)
    for name, code in draft.experiments.items():
        outcome = _run(draft, code, "", execute)
        names[name] = outcome.value
        names |= {f"{name}_{field}": value for field, value in outcome.fields.items()}
    outcomes = [_run(draft, option.code, option.raises, execute) for option in draft.options]
    _compare(draft.options, [outcome_text(outcome) for outcome in outcomes])
    choices = [
        _choice(draft.id, option, outcome_text(outcome), names)
        for option, outcome in zip(draft.options, outcomes, strict=True)
    ]
    _distinguish([choice.text for choice in choices])
    _level(choices)
    Random(f"{seed}/{draft.form}/{draft.id}/order").shuffle(choices)
    key = next(index for index, choice in enumerate(choices) if choice.correct)
    names |= {"key": choices[key].text, "letter": LETTERS[key]}
    return Question(
        id=draft.id,
        group=draft.group,
        level=draft.level,
        text=fill(draft.text, names),
        choices=tuple(choices),
        code=draft.code,
        steps=tuple(fill(step, names) for step in draft.steps),
        answer=fill(draft.answer, names),
        check=fill(draft.check, names),
        hint=fill(draft.hint, names),
        mistakes=tuple(fill(mistake, names) for mistake in draft.mistakes),
        form=draft.form,
        subject=draft.subject,
        place=draft.place,
    )


def _run(draft: Draft, code: str, raises: str, execute: Execute) -> Outcome:
    if not code.strip():
        raise LessonError(f"{draft.id}: an option without code cannot be executed.")
    outcome = execute(code)
    if outcome.error != raises:
        raise _RefusedError(
            f"{code!r} should {f'raise {raises}' if raises else 'run'}, "
            f"but came to {outcome_text(outcome)!r}"
        )
    return outcome


def _compare(options: tuple[Option, ...], outcomes: list[str]) -> None:
    """Refuse a key or claim that does not hold, and a distractor that comes to the key."""
    (key,) = (text for option, text in zip(options, outcomes, strict=True) if option.correct)
    for option, text in zip(options, outcomes, strict=True):
        if option.expected and not _agree(option.expected, text):
            raise _RefusedError(
                f"{option.code!r} came to {text!r}, but {option.expected!r} was recorded or claimed"
            )
        if not option.correct and _same(text, key):
            raise _RefusedError(f"the distractor {option.code!r} came to the key: {text!r}")


def _choice(id: str, option: Option, outcome: str, names: dict[str, str]) -> Choice:
    known = names | {"outcome": outcome}
    feedback = fill(option.feedback, known)
    if not option.correct:
        try:
            feedback = f"{feedback} The idea behind it: {belief(option.misconception)}"
        except LessonError as error:
            raise LessonError(f"{id}: {error}") from None
    return Choice(
        text=fill(option.text, known),
        correct=option.correct,
        feedback=feedback,
        misconception=option.misconception,
        executed=option.code,
        outcome=outcome,
    )


def _distinguish(texts: list[str]) -> None:
    for index, text in enumerate(texts):
        for other in texts[:index]:
            if _same(text, other):
                raise _RefusedError(f"two options read the same: {other!r} and {text!r}")


def _level(choices: list[Choice]) -> None:
    (key,) = (len(choice.text) for choice in choices if choice.correct)
    longest = max(len(choice.text) for choice in choices if not choice.correct)
    if key >= _LONG and key > _LONGER * longest:
        raise _RefusedError(f"the key has {key} characters, the longest distractor {longest}")


def _same(text: str, other: str) -> bool:
    """Tell whether two texts say the same: equal words, or equal numbers as `0.3` and `0.30`."""
    first, second = _value(text), _value(other)
    if first is not None and second is not None:
        return first == second
    return text.casefold().split() == other.casefold().split()


def _agree(recorded: str, executed: str) -> bool:
    """Tell whether an outcome is what was recorded, which may carry fewer digits."""
    first, second = _value(recorded), _value(executed)
    if first is not None and second is not None:
        return math.isclose(first, second, rel_tol=1e-3, abs_tol=1e-4)
    return recorded == executed


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
