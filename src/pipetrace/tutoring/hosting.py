"""A tutor behind a server: its page is followed, and what the page asks is answered here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipetrace.serving.app import Desk
from pipetrace.serving.channel import LessonSource
from pipetrace.serving.shelf import Shelf
from pipetrace.tutoring.tutor import Tutor
from pipetrace.views import data

PATH = "/run/live"
"""What to open first."""


def desk_of(tutor: Tutor, out: Path) -> Callable[[], Desk]:
    """Return what makes a desk for a lesson.

    Args:
        tutor: Makes the lesson.
        out: The folder of runs that its list shows.
    """

    def make() -> Desk:
        source = LessonSource(tutor.page, Answers(tutor))
        tutor.renewed = source.renew
        return Desk(Shelf(out), source)

    return make


class Answers:
    """What the page may ask of its tutor."""

    def __init__(self, tutor: Tutor) -> None:
        self._actions = tutor.actions

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of what may be asked."""
        return tuple(self._actions)

    def ask(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        """Do it, and return blocks as plain values."""
        return [data.plain(block) for block in self._actions[name](arguments)]
