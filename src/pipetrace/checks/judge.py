"""Every rule reads the evidence; what they found becomes findings, the gravest first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

from pipetrace.checks.comments import Comments
from pipetrace.checks.configuration import left_out
from pipetrace.checks.evidence import Evidence
from pipetrace.checks.findings import SEVERITIES, Finding, Found
from pipetrace.checks.registry import Rule, rules
from pipetrace.checks.selecting import asked
from pipetrace.records import Selection
from pipetrace.tracefile import Recording

FAMILIES = (
    "batchnorm",
    "data",
    "dropout",
    "loop",
    "masks",
    "mode",
    "numerics",
    "randomness",
    "rng",
    "wiring",
)
"""The files of rules; importing one registers its rules."""


class Judged(NamedTuple):
    """What the rules found, and what is left unsaid of it."""

    findings: list[Finding]
    """The gravest first, then by id, file and line."""
    silenced: int
    """How many a comment on their statement leaves out."""
    strange: list[str]
    """Which comments leave out nothing, for what they name is no rule."""


def every_rule() -> tuple[Rule, ...]:
    """Return every rule there is, by id."""
    for family in FAMILIES:
        import_module(f"pipetrace.checks.{family}")
    return rules()


def asked_of(recording: Recording, selection: Selection | None = None) -> list[Rule]:
    """Return the rules that are asked of a run."""
    return asked(selection or recording.last(Selection) or Selection(), every_rule())


def judge(recording: Recording, selection: Selection | None = None) -> list[Finding]:
    """Return what the rules find in a run.

    Args:
        recording: What a run has stated.
        selection: Which rules to ask; where it is None, those that the run says, else all.

    Returns:
        The findings, the gravest first, then by id, file and line, without those that a comment
        on their statement leaves out. A rule that raises says so as a note with its id.
    """
    return judged(recording, selection).findings


def judged(recording: Recording, selection: Selection | None = None) -> Judged:
    """Do what `judge` does, and also return what comments leave out.

    Args:
        recording: What a run has stated.
        selection: Which rules to ask; where it is None, those that the run says, else all.
    """
    chosen = selection or recording.last(Selection) or Selection()
    evidence = Evidence(recording)
    found: list[Finding] = []
    for rule in asked(chosen, every_rule()):
        try:
            found += _once(_finding(rule, each) for each in rule.judge(evidence))
        except Exception as error:
            found.append(_failed(rule, error))
    comments = Comments(recording, {rule.name: rule.id for rule in every_rule()})
    found = [each for each in found if not left_out(chosen, each.file, each.id)]
    kept = [each for each in found if not comments.silence(each)]
    return Judged(sorted(kept, key=_order), len(found) - len(kept), comments.strange())


def _once(found: Iterable[Finding]) -> list[Finding]:
    """Keep of what one rule says of one module on one line the gravest, each message once.

    Two optimizers that one line steps give other numbers, and nothing else to mend.
    """
    kept: dict[tuple[str, str, int, str], Finding] = {}
    gravest: dict[tuple[str, str, int], int] = {}
    for each in sorted(found, key=_order):
        place = each.module, each.file, each.line
        gravity = SEVERITIES.index(each.severity)
        if not each.line or gravity == gravest.setdefault(place, gravity):
            kept.setdefault((*place, re.sub(r"[0-9][0-9.,e+-]*", "0", each.message)), each)
    return list(kept.values())


def _finding(rule: Rule, found: Found) -> Finding:
    place = found.place
    return Finding(
        id=rule.id, severity=found.severity or rule.severity, module=found.module,
        file="" if place is None else place.file, line=0 if place is None else place.line,
        message=found.message, evidence=found.evidence, fix=found.fix, why=found.why or rule.why,
        title=rule.title, text="" if place is None else place.text,
    )  # fmt: skip


def _failed(rule: Rule, error: Exception) -> Finding:
    return Finding(
        id=rule.id, severity="note", title=rule.title,
        message=f"The rule {rule.name} could not be asked: {type(error).__name__}: {error}",
        evidence="It raised on the facts of this run.", fix="Please report this.",
    )  # fmt: skip


def _order(finding: Finding) -> tuple[int, str, str, int, str]:
    gravity = SEVERITIES.index(finding.severity)
    return gravity, finding.id, finding.file, finding.line, finding.module
