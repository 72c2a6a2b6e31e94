"""What a table was made of, and what became of it: facts about columns and preparations."""

from __future__ import annotations

from pipetrace.parts import Argument, Record


class Column(Record, frozen=True):
    """One column of a table and what became of it."""

    name: str
    type: str
    role: str
    """`feature`, `target` or `left out`."""
    missing: int = 0
    distinct: int = 0
    reason: str = ""
    encoded: tuple[str, ...] = ()


class Preparation(Record, frozen=True):
    """One stage of a table on its way to the model."""

    index: int
    name: str
    words: str
    before: tuple[int, int]
    after: tuple[int, int]
    """Rows and columns, of the part that statistics come from."""
    names: tuple[str, ...] = ()
    row: tuple[str, ...] = ()
    """The sample's cells after the stage, as text."""
    facts: tuple[Argument, ...] = ()
