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

GROUPS = ("quiz", "practice", "challenge")
LEVELS = ("easy", "medium", "hard")
EXAM = {"easy": 3, "medium": 4, "hard": 3}
"""Questions of a test, by level."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A registered question."""

    id: str
    group: str
    level: str
    needs: str
    """What of a run it rests on: `subject`, `run`, or `nothing` beyond torch itself."""
    words: str
    """The first line of the function's docstring."""
    write: Write
    place: str = ""
    """The section of the page where the answer can be seen, unless the draft names a stage."""

    @property
    def lesson(self) -> str:
        """The folder that it stands in."""
        return self.write.__module__.rpartition(".")[0].rpartition(".")[2]

    def draft(self, recording: Recording, seed: int) -> Draft | None:
        """Draft the question; the same seed gives the same draft.

        Raises:
            LessonError: the template raised.
        """
        try:
            draft = self.write(recording, Random(f"{seed}/{self.id}"))
        except Exception as error:
            where = inspect.getsourcefile(self.write)
            raise LessonError(
                f"the template {self.id} ({where}) could not be drafted: "
                f"{type(error).__name__}: {error}"
            ) from error
        if draft is None:
            return None
        return msgspec.structs.replace(
            draft, id=self.id, group=self.group, level=self.level, form=seed,
            subject=self.words.rstrip("."), place=draft.place or self.place,
        )  # fmt: skip


NEEDS = ("subject", "run", "nothing")
_templates: dict[str, Template] = {}
_misconceptions: dict[str, str] = {}


def question(
    *, id: str, group: str, level: str, needs: str, place: str = ""
) -> Callable[[Write], Write]:
    """Register a template; its docstring says what the learner is asked, in a few words.

    Args:
        id: permanent and unique, `D101` for example; recorded answers refer to it.
        group: `quiz` (about this run), `practice` (with common mistakes) or `challenge` (code to
            read or to mend).
        level: `easy`, `medium` or `hard`.
        needs: `subject` (the lesson's own subject, met in the run: an active mask for dropout),
            `run` (other recorded facts) or `nothing`.
        place: the section of a run's page where the answer can be seen: `flow`, `training`,
            `prediction`, `metrics`, `contrast`, `lab`, `network`, `findings`, `provenance`.

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
            id=id, group=group, level=level, needs=needs, words=words, write=write, place=place
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


def templates(group: str | None = None, level: str | None = None) -> list[Template]:
    """Return the registered templates, of a group and of a level, in the order of their ids."""
    found = sorted(_templates.values(), key=lambda template: template.id)
    return [
        template
        for template in found
        if group in (None, template.group) and level in (None, template.level)
    ]


def belief(misconception: str) -> str:
    """Return what somebody with this misconception holds.

    Raises:
        LessonError: nobody registered it.
    """
    if misconception not in _misconceptions:
        raise LessonError(f"the misconception {misconception!r} is not registered.")
    return _misconceptions[misconception]
