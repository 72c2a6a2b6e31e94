"""A rule is one function, registered under a permanent id; its docstring is its page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipetrace.checks.findings import SEVERITIES, Found

if TYPE_CHECKING:
    from pipetrace.checks.evidence import Evidence

Judge = Callable[["Evidence"], Iterable[Found]]
FAMILIES = {
    "1": "Randomness in eval mode",
    "2": "Dropout",
    "3": "Train and eval mode",
    "4": "Batch normalisation",
    "5": "Random streams and masks",
    "6": "Layers and optimizers",
    "7": "The training loop",
    "8": "Data and losses",
    "9": "Numbers",
}
"""What the rules are about whose ids begin with the same digit."""
_PROGRAMS = Path(__file__).parents[1] / "examples" / "rules"


@dataclass(frozen=True)
class Rule:
    """A registered rule.

    Attributes:
        id: Permanent: `PTR` and three digits, the first of which is the family's.
        name: In words with hyphens, for people: `dropout-alive-in-eval`.
        severity: Of its findings, unless one says otherwise.
        title: One line.
        judge: Reads the evidence and yields what it found.
    """

    id: str
    name: str
    severity: str
    title: str
    judge: Judge

    @property
    def family(self) -> str:
        """What it is about, with the others of its hundred."""
        return FAMILIES[self.id[3]]

    @property
    def words(self) -> str:
        """The rule's page: its docstring without the title line."""
        return (inspect.getdoc(self.judge) or "").partition("\n\n")[2]

    @property
    def why(self) -> str:
        """Why it matters: the first paragraph of its page."""
        return self.words.partition("\n\n")[0].replace("\n", " ")

    @property
    def fires(self) -> str:
        """A program in which the rule fires."""
        return (_PROGRAMS / f"{self.id.lower()}_fires.py").read_text(encoding="utf-8")

    @property
    def silent(self) -> str:
        """A program that looks alike, in which it stays silent."""
        return (_PROGRAMS / f"{self.id.lower()}_silent.py").read_text(encoding="utf-8")


_rules: dict[str, Rule] = {}


def rule(id: str, name: str, severity: str) -> Callable[[Judge], Judge]:
    """Register a rule under its permanent id.

    The docstring's first line is the title; its first paragraph says why it matters; what follows
    says what is executed to find it, what is meant and stays silent, and what to write instead.

    Raises:
        ValueError: the id is malformed or taken, the severity is none, or the docstring is short.
    """

    def register(judge: Judge) -> Judge:
        words = inspect.getdoc(judge) or ""
        if not re.fullmatch(r"PTR[1-9]\d\d", id) or severity not in SEVERITIES:
            raise ValueError(f"{id} ({severity}): write PTR and three digits, and one of "
                             f"{', '.join(SEVERITIES)}.")  # fmt: skip
        if "\n\n" not in words:
            raise ValueError(f"{id}: a rule's docstring says why it matters below its title.")
        known = _rules.get(id)
        if known is not None and known.judge.__qualname__ != judge.__qualname__:
            raise ValueError(f"{id} is taken by {known.name}.")
        title = words.partition("\n")[0].rstrip(".")
        _rules[id] = Rule(id, name, severity, title, judge)
        return judge

    return register


def rules() -> tuple[Rule, ...]:
    """Return every registered rule, by id."""
    return tuple(_rules[key] for key in sorted(_rules))
