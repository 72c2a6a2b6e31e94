"""A rule's page: what it finds and why, the program in which it fires, the one that it leaves."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pipetrace.blocks import Code, Fact, Facts, Head, Page, Section, Table, Text
from pipetrace.checks.registry import Rule

_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z`])")


def page(rule: Rule) -> Page:
    """Return the page of one rule."""
    known = Facts(facts=(
        Fact(label="severity", value=rule.severity),
        Fact(label="family", value=rule.family),
        Fact(label="name", value=rule.name),
    ))  # fmt: skip
    why, *rest = (" ".join(part.split()) for part in rule.words.split("\n\n"))
    *found, instead = _SENTENCE.split(" ".join(rest))
    silence = f"# pipetrace: ignore[{rule.id}]"
    return Page(
        title=f"{rule.id}: {rule.title}",
        subtitle="",
        sections=(
            Section(id="why", title="Why it matters", blocks=(Text(text=why), known)),
            Section(id="found", title="How it is found", blocks=(Text(text=" ".join(found)),)),
            Section(id="instead", title="What to write instead", blocks=(Text(text=instead),)),
            Section(id="fires", title="Here it fires", blocks=(program(rule.fires, rule.silent),)),
            Section(id="silent", title="This it leaves in peace",
                    blocks=(program(rule.silent, rule.fires),)),
            Section(
                id="ignore", title="Where it is meant", blocks=(Code(text=silence),),
                intro="Say so on the statement:",
            ),
        ),
    )  # fmt: skip


def program(text: str, other: str) -> Code:
    """Show a program, with the lines marked in which it differs from another one like it."""
    lines, others = text.splitlines(), other.splitlines()
    matcher = difflib.SequenceMatcher(None, others, lines, autojunk=False)
    differing = [number for kind, _, _, first, last in matcher.get_opcodes() if kind != "equal"
                 for number in range(first + 1, last + 1) if number > 1]  # fmt: skip
    alike = len(differing) * 2 < len(lines)
    return Code(text=text, marks=tuple(differing) if alike else ())


def overview(rules: Sequence[Rule]) -> Page:
    """Return the page that lists rules, a table for each family."""
    families: dict[str, list[Rule]] = {}
    for rule in rules:
        families.setdefault(rule.family, []).append(rule)
    heads = (Head(label="id"), Head(label="severity"), Head(label="title"))
    sections = [
        Section(
            id=family,
            title=family,
            blocks=(Table(heads=heads, rows=tuple((r.id, r.severity, r.title) for r in found)),),
        )
        for family, found in families.items()
    ]
    words = "`pipetrace explain ID` prints the page of one."
    return Page(
        title=f"{len(rules)} rules on silent bugs", subtitle=words, sections=tuple(sections)
    )
