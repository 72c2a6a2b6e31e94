"""Every question template and every misconception is registered here under a permanent id."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from pipetrace.lessons.drafts import Draft, LessonError
from pipetrace.tracefile import Recording

Write = Callable[[Recording, Random], Draft | None]
"""Drafts a question from a run; None where the run lacks the facts."""

GROUPS = ("quiz", "practice")
LEVELS = ("easy", "medium", "hard")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A registered question."""

    id: str
    group: str
    level: str
    needs: str
    """What of a run it rests on: `dropout`, `run`, or `nothing` beyond torch itself."""
    words: str
    """The first line of the function's docstring."""
    write: Write

    def draft(self, recording: Recording, seed: int) -> Draft | None:
        """Draft the question; the same seed gives the same draft."""
        draft = self.write(recording, Random(f"{seed}/{self.id}"))
        if draft is None:
            return None
        return msgspec.structs.replace(draft, id=self.id, group=self.group, level=self.level)


NEEDS = ("dropout", "run", "nothing")
_templates: dict[str, Template] = {}
_misconceptions: dict[str, str] = {}


def question(*, id: str, group: str, level: str, needs: str) -> Callable[[Write], Write]:
    """Register a template; its docstring says what the learner is asked.

    Args:
        id: permanent and unique, `D101` for example; recorded answers refer to it.
        group: `quiz` or `practice`.
        level: `easy`, `medium` or `hard`.
        needs: `dropout` (an active mask in the run), `run` (other recorded facts) or `nothing`.

    Raises:
        LessonError: the id is taken, a word is unknown or the docstring is missing.
    """

    def register(write: Write) -> Write:
        words = (inspect.getdoc(write) or "").partition("\n")[0]
        if id in _templates:
            raise LessonError(f"two templates have the id {id}: give one of them another.")
        if group not in GROUPS or level not in LEVELS or needs not in NEEDS or not words:
            raise LessonError(
                f"{id}: expected a docstring, a group of {GROUPS}, a level of {LEVELS} and needs "
                f"of {NEEDS}; got {group!r}, {level!r}, {needs!r}."
            )
        _templates[id] = Template(
            id=id, group=group, level=level, needs=needs, words=words, write=write
        )
        return write

    return register


def misconceptions(sentences: Mapping[str, str]) -> None:
    """Register misconceptions: id, and the sentence that somebody who holds it would say.

    Raises:
        LessonError: an id is taken.
    """
    for name, sentence in sentences.items():
        if _misconceptions.setdefault(name, sentence) != sentence:
            raise LessonError(f"two misconceptions have the id {name}: give one another.")


def templates(group: str | None = None) -> list[Template]:
    """Return the registered templates in the order of their ids."""
    found = sorted(_templates.values(), key=lambda template: template.id)
    return [template for template in found if group in (None, template.group)]


def belief(misconception: str) -> str:
    """Return what somebody with this misconception holds.

    Raises:
        LessonError: nobody registered it.
    """
    if misconception not in _misconceptions:
        raise LessonError(f"the misconception {misconception!r} is not registered.")
    return _misconceptions[misconception]
