"""What a learner did, as plain data: the same in the learner's file, on a page and in a browser."""

from __future__ import annotations

from typing import Annotated

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""What JSON and a browser hold exactly."""


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Something that happened at a time: `at`, in milliseconds since 1970, UTC."""

    lesson: str
    """The lesson's id; that of the run for questions on a run's own page."""
    at: Whole


class Answer(Happening, frozen=True, tag="answer"):
    """An answer to a question."""

    question: str
    """Permanent id of the template."""
    form: Whole
    option: Whole
    """Place of the chosen option, from 0."""
    right: bool
    level: str = ""
    misconception: str = ""
    sitting: str = ""
    """Names the test in which it was given; empty outside of tests."""


class Review(Happening, frozen=True, tag="review"):
    """A look at a card. `rating`: 1 again, 2 hard, 3 good, 4 easy."""

    card: str
    rating: Whole


class Sitting(Happening, frozen=True, tag="sitting"):
    """A test that was begun (`verdict` empty) or ended (`strong`, `growing` or `not yet`)."""

    sitting: str
    form: Whole
    """Place of the parallel form among the test's forms."""
    right: Whole = 0
    total: Whole = 0
    hard: Whole = 0
    """Hard questions that were answered right."""
    verdict: str = ""


class Reached(Happening, frozen=True, tag="reached"):
    """A target that an experiment reached. `choices`: for each knob the place of its value."""

    experiment: str
    choices: tuple[Whole, ...]


Event = Answer | Review | Sitting | Reached
