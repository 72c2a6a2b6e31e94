"""A section of the page is one function, registered under a permanent id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipetrace.blocks import AnyBlock, Section
from pipetrace.tracefile import Recording


@dataclass(frozen=True)
class Content:
    """What a section says about its subject; a `title` replaces the registered one."""

    blocks: tuple[AnyBlock, ...]
    intro: str = ""
    title: str = ""
    brief: tuple[AnyBlock, ...] | None = None
    """What is printed of it when a run has ended; all, if that is not said."""


Tell = Callable[[Recording], Content | None]
Subject = TypeVar("Subject")
"""What a page is about: one recording, or a pair of them."""


@dataclass(frozen=True)
class Entry(Generic[Subject]):
    """A section that is known by its permanent id."""

    id: str
    title: str
    order: int
    tell: Callable[[Subject], Content | None]

    def make(self, subject: Subject, brief: bool = False) -> Section | None:
        """Return the section for this subject, in short if asked, or None if there is nothing."""
        content = self.tell(subject)
        if content is None:
            return None
        title = content.title or self.title
        blocks = content.blocks if content.brief is None or not brief else content.brief
        return Section(id=self.id, title=title, blocks=blocks, intro=content.intro)


_entries: dict[str, Entry[Recording]] = {}


def section(*, id: str, title: str, order: int) -> Callable[[Tell], Tell]:
    """Register a function that turns a recording into the content of a section.

    Args:
        id: the permanent anchor of the section.
        title: its heading.
        order: where it stands on the page; smaller comes first.

    Raises:
        ValueError: another section has this id.
    """

    def register(tell: Tell) -> Tell:
        known = _entries.get(id)
        if known is not None and known.tell.__qualname__ != tell.__qualname__:
            raise ValueError(f"The section id {id!r} is taken by {known.tell.__qualname__}.")
        _entries[id] = Entry(id=id, title=title, order=order, tell=tell)
        return tell

    return register


def entries() -> tuple[Entry[Recording], ...]:
    """Return the registered sections in the order of the page."""
    return tuple(sorted(_entries.values(), key=lambda entry: (entry.order, entry.id)))
