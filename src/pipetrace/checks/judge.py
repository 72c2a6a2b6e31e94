"""Every rule reads the evidence; what they found becomes findings, the gravest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from pipetrace.checks.evidence import Evidence
from pipetrace.checks.findings import SEVERITIES, Finding, Found
from pipetrace.checks.registry import Rule, rules
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


def every_rule() -> tuple[Rule, ...]:
    """Return every rule there is, by id."""
    for family in FAMILIES:
        import_module(f"pipetrace.checks.{family}")
    return rules()


def judge(recording: Recording, chosen: Sequence[Rule] | None = None) -> list[Finding]:
    """Return what the rules find in a run.

    Args:
        recording: What a run has stated.
        chosen: The rules to ask; all where it is None.

    Returns:
        The findings, the gravest first, then by id, file and line. A rule that raises says so as
        a note with its id.
    """
    evidence = Evidence(recording)
    found: list[Finding] = []
    for rule in every_rule() if chosen is None else chosen:
        try:
            found += dict.fromkeys(_finding(rule, each) for each in rule.judge(evidence))
        except Exception as error:
            found.append(_failed(rule, error))
    return sorted(found, key=_order)


def chosen(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return the rules whose ids begin with one of `select`, without those of `ignore`."""
    wanted, unwanted = tuple(select) or ("PTR",), tuple(ignore)
    return tuple(
        rule for rule in every_rule()
        if rule.id.startswith(wanted) and not (unwanted and rule.id.startswith(unwanted))
    )  # fmt: skip


def _finding(rule: Rule, found: Found) -> Finding:
    place = found.place
    return Finding(
        id=rule.id, severity=found.severity or rule.severity, module=found.module,
        file="" if place is None else place.file, line=0 if place is None else place.line,
        message=found.message, evidence=found.evidence, fix=found.fix, why=rule.why,
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
