"""Blocks that ask: questions that are graded, a test of them, cards to be remembered."""

from __future__ import annotations

import msgspec


class Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a block: never on a page alone."""


class Block(Piece, frozen=True, kw_only=True, tag_field="block", tag=str.lower):
    """A thing that a view can render without looking at its neighbours."""


class Mode(Piece, frozen=True):
    """One of several ways to look at a subject: `why`, `trace`, `practice`, ..."""

    id: str
    label: str
    words: str = ""


class Option(Piece, frozen=True):
    """One answer; letters A, B, C, ... follow from the order."""

    text: str
    correct: bool
    feedback: str
    misconception: str = ""
    """Id of the misconception that leads here; empty for the right answer."""
    executed: str = ""
    """The code that was run for it."""
    raises: str = ""
    """Type of the exception that its code raised; empty where it ran through."""


class Question(Block, frozen=True):
    """A question that the page grades."""

    id: str
    """Permanent id of its template; with `form` it names one question of one run."""
    level: str
    text: str
    options: tuple[Option, ...]
    code: str = ""
    hint: str = ""
    steps: tuple[str, ...] = ()
    answer: str = ""
    check: str = ""
    mistakes: tuple[str, ...] = ()
    form: int = 0
    """The seed that its numbers and the order of its options were drawn with."""
    subject: str = ""
    """What it asks about, in a few words: what to practise after a wrong answer."""
    place: str = ""
    """Where on the page the answer can be seen, as an address names it: `flow/0`, `training`."""


class Exam(Block, frozen=True):
    """A test: one parallel form at a time, graded at its end, with a verdict.

    Strong is who has at least `strong` right and at least `hard` of the hard ones; growing who has
    at least `growing` right; else it is not yet.
    """

    id: str
    title: str
    questions: tuple[Question, ...]
    forms: tuple[tuple[int, ...], ...]
    """For each form the places of its questions in `questions`, all of one length."""
    intervals: tuple[tuple[float, float], ...]
    """For each number of right answers, from 0: the 95 % interval of the share."""
    strong: int = 8
    hard: int = 2
    growing: int = 6


class Card(Piece, frozen=True):
    """A question to be asked of oneself; its answer was executed where it has code."""

    id: str
    front: str
    back: str
    code: str = ""
    outcome: str = ""


class Cards(Block, frozen=True):
    """Cards that come again when they are about to be forgotten."""

    title: str
    cards: tuple[Card, ...]
    weights: tuple[float, ...]
    """The parameters of the scheduler FSRS-6."""
    retention: float = 0.9
    """The probability of remembering at which a card is due."""
