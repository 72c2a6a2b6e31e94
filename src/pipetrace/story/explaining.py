"""A rule's page: what it finds and why, the program in which it fires, the one that it leaves."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Code, Fact, Facts, Head, Page, Section, Table, Text
from pipetrace.checks.registry import Rule


def page(rule: Rule) -> Page:
    """Return the page of one rule."""
    words: list[AnyBlock] = [Facts(facts=(
        Fact(label="severity", value=rule.severity),
        Fact(label="family", value=rule.family),
        Fact(label="name", value=rule.name),
    ))]  # fmt: skip
    words += [Text(text=" ".join(part.split())) for part in rule.words.split("\n\n")]
    silence = f"# pipetrace: ignore[{rule.id}]"
    return Page(
        title=f"{rule.id}: {rule.title}",
        subtitle="",
        sections=(
            Section(id="why", title="What it finds", blocks=tuple(words)),
            Section(id="fires", title="Here it fires", blocks=(Code(text=rule.fires),)),
            Section(id="silent", title="This it leaves in peace", blocks=(Code(text=rule.silent),)),
            Section(
                id="ignore", title="Where it is meant", blocks=(Code(text=silence),),
                intro="Say so on the statement:",
            ),
        ),
    )  # fmt: skip


def overview(rules: Sequence[Rule]) -> Page:
    """Return the page that lists rules, a table for each family."""
    families: dict[str, list[Rule]] = {}
    for rule in rules:
        families.setdefault(rule.family, []).append(rule)
    heads = (Head(label="id"), Head(label="severity"), Head(label="title"))
    sections = [
        Section(
            id=family,
            title=family.replace("_", " ").capitalize(),
            blocks=(Table(heads=heads, rows=tuple((r.id, r.severity, r.title) for r in found)),),
        )
        for family, found in families.items()
    ]
    words = "`pipetrace explain ID` prints the page of one."
    return Page(
        title=f"{len(rules)} rules on silent bugs", subtitle=words, sections=tuple(sections)
    )
