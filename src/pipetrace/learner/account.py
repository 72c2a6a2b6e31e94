"""What a learner did is counted lesson by lesson, with the interval of each share."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipetrace.learned import Answer, Event, Reached, Review, Sitting
from pipetrace.learner.difficulty import first
from pipetrace.learner.schedule import DAY, schedule
from pipetrace.learner.verdict import Weakness, interval, next_steps


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """So many of so many were right, with the 95 % interval of the share."""

    right: int
    total: int
    low: float
    high: float


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A test that was ended."""

    sitting: str
    at: int
    share: Share
    hard: int
    verdict: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was done of one lesson."""

    lesson: str
    answers: int
    """All answers, also to questions that had been answered before."""
    first: Share
    """First answers only, one to each draw (form) of a question."""
    tests: tuple[Ended, ...]
    begun: int
    """Tests that were begun and not ended."""
    practise: tuple[Weakness, ...]
    targets: int
    """Targets of experiments that were reached."""
    cards: int
    """Cards that were looked at."""
    due: int
    """Of these, cards to look at now."""
    tomorrow: int
    """Cards that will be due within the next 24 hours, without those that are due now."""
    last: int
    """When something was done last, in milliseconds since 1970, UTC."""


def accounts(events: Sequence[Event], now_ms: int) -> list[Account]:
    """Count what a learner did, lesson by lesson, the one of the last event first.

    Args:
        events: The oldest first.
        now_ms: The time, in milliseconds since 1970, UTC.

    Raises:
        PipetraceError: cards were reviewed, and the package fsrs is missing.
    """
    lessons: dict[str, list[Event]] = {}
    for event in events:
        lessons.setdefault(event.lesson, []).append(event)
    found = [_account(lesson, its, now_ms) for lesson, its in lessons.items()]
    return sorted(found, key=lambda account: account.last, reverse=True)


def share(right: int, total: int) -> Share:
    """Return a share with its interval."""
    low, high = interval(right, total)
    return Share(right=right, total=total, low=low, high=high)


def _account(lesson: str, events: list[Event], now_ms: int) -> Account:
    answers = [event for event in events if isinstance(event, Answer)]
    sittings = [event for event in events if isinstance(event, Sitting)]
    ended = [sitting for sitting in sittings if sitting.verdict]
    over = {sitting.sitting for sitting in ended}
    reached = [event for event in events if isinstance(event, Reached)]
    cards = schedule([event for event in events if isinstance(event, Review)])
    waits = [card.due_ms - now_ms for card in cards.values()]
    fresh = first(answers)
    return Account(
        lesson=lesson,
        answers=len(answers),
        first=share(sum(answer.right for answer in fresh), len(fresh)),
        tests=tuple(
            Ended(sitting=each.sitting, at=each.at, share=share(each.right, each.total),
                   hard=each.hard, verdict=each.verdict)
            for each in ended
        ),
        begun=len({sitting.sitting for sitting in sittings} - over),
        practise=next_steps(answers),
        targets=len({event.experiment for event in reached}),
        cards=len(cards),
        due=sum(wait <= 0 for wait in waits),
        tomorrow=sum(0 < wait <= DAY for wait in waits),
        last=max(event.at for event in events),
    )  # fmt: skip
