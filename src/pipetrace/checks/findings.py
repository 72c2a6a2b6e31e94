"""A finding: which rule, how grave, where, on which evidence, and what to write instead."""

from __future__ import annotations

from pipetrace.parts import Part, Place

SEVERITIES = ("error", "warning", "advice", "note")
"""The gravest first. A warning needs an executed fact that contradicts what the loop does."""


class Finding(Part, frozen=True, kw_only=True):
    """A silent bug, or something worth knowing, at one place of the user's program.

    Attributes:
        id: The rule's permanent id, `PTR101` for example.
        severity: `error`, `warning`, `advice` or `note`.
        module: Path of the module at fault; empty for the root, or where it is in the loop.
        file: The user's file; empty where no line is known.
        line: Its line, from 1; 0 where none is known.
        message: What is wrong, in one or two sentences.
        evidence: What was executed, with its numbers.
        fix: What to write instead, as code.
        why: Why it matters.
        title: The rule's title.
        text: The user's line, where it is known.
    """

    id: str
    severity: str
    module: str = ""
    file: str = ""
    line: int = 0
    message: str
    evidence: str
    fix: str
    why: str = ""
    title: str = ""
    text: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        return f"{place}{self.id} {self.severity}: {self.message}"

    @property
    def grave(self) -> bool:
        """Whether it fails a check: a warning or an error."""
        return self.severity in ("error", "warning")


class Found(Part, frozen=True, kw_only=True):
    """What a rule says of one place; the registry makes a finding of it.

    Attributes:
        message: What is wrong; names the module where there is one.
        evidence: What was executed, with its numbers.
        fix: What to write instead, as code.
        module: Path of the module at fault.
        place: The user's line.
        severity: Where it is another than the rule's.
        why: Why it matters, where that is another reason than the rule's.
    """

    message: str
    evidence: str
    fix: str
    module: str = ""
    place: Place | None = None
    severity: str = ""
    why: str = ""
