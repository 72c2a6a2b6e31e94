"""The page of a learner: what was done, what it is worth, and what to practise next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pipetrace.blocks import AnyBlock, Fact, Facts, Head, Page, Section, Table, Text
from pipetrace.learner.account import Account, Ended, Share
from pipetrace.learner.verdict import Weakness
from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.registry import belief, templates
from pipetrace.lessons.select import FAMILIES

_KNOWN = FAMILIES
"""Lessons whose questions and misconceptions can be named: importing them registers these."""
_MOST = 5
"""Things to practise that are shown."""
_TESTS = (
    Head(label="test"), Head(label="right", number=True), Head(label="share"),
    Head(label="hard ones", number=True), Head(label="verdict"),
)  # fmt: skip
_PRACTISE = (Head(label="practise next"), Head(label="wrong", number=True), Head(label="in"))


def page(accounts: Sequence[Account]) -> Page:
    """Return the page with a section for each lesson."""
    if not accounts:
        words = "Nothing yet: answers are kept once a lesson has been worked on."
        return Page(title="Your progress", subtitle=words, sections=())
    return Page(
        title="Your progress",
        subtitle="Shares carry the interval that holds the true one in about 95 % of cases "
        "(Wilson).",
        sections=tuple(
            Section(id=f"lesson-{place}", title=account.lesson, blocks=tuple(_blocks(account)))
            for place, account in enumerate(accounts)
        ),
    )


def _blocks(account: Account) -> Iterable[AnyBlock]:
    yield Facts(facts=tuple(_facts(account)))
    if account.tests:
        yield Table(heads=_TESTS, rows=tuple(map(_tested, account.tests)))
    if account.practise:
        yield Table(heads=_PRACTISE, rows=tuple(map(_weakness, account.practise[:_MOST])))
        if len(account.practise) > _MOST:
            yield Text(text=f"And {len(account.practise) - _MOST} more.", tone="muted")


def _facts(account: Account) -> Iterable[Fact]:
    yield Fact(label="last", value=_when(account.last))
    yield Fact(label="answers", value=str(account.answers))
    if account.answers:
        yield Fact(
            label="right at once", value=f"{account.first.right} of {account.first.total}",
            note=f"{_share(account.first)}; each question with its numbers counts once",
        )  # fmt: skip
    if account.begun:
        yield Fact(label="tests not ended", value=str(account.begun))
    if account.targets:
        yield Fact(label="targets reached", value=str(account.targets))
    if account.cards:
        note = f"{account.tomorrow} more within the next 24 hours"
        yield Fact(label="cards due now", value=f"{account.due} of {account.cards}", note=note)


def _tested(test: Ended) -> tuple[str, ...]:
    right = f"{test.share.right} of {test.share.total}"
    return _when(test.at), right, _share(test.share), str(test.hard), test.verdict


def _weakness(weakness: Weakness) -> tuple[str, ...]:
    known = {each.id: each.words.rstrip(".") for each in templates()}
    said = known.get(weakness.id, weakness.id)
    if weakness.misconception:
        try:
            said = f"“{belief(weakness.id)}”"
        except LessonError:
            said = weakness.id
    return said, str(weakness.wrong), ", ".join(weakness.questions)


def _share(share: Share) -> str:
    """Write a share.

    >>> _share(Share(right=8, total=10, low=0.4902, high=0.9433))
    '80 %, 49 % to 94 %'
    """
    if not share.total:
        return "no answers"
    return f"{share.right / share.total:.0%}, {share.low:.0%} to {share.high:.0%}".replace(
        "%", " %"
    )


def _when(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000):%Y-%m-%d %H:%M}"
