"""Writes `rules.md`, the page of all rules on silent bugs, from the rules themselves."""

from __future__ import annotations

from pathlib import Path

from pipetrace.checks.judge import every_rule
from pipetrace.checks.registry import Rule

PAGE = Path(__file__).with_name("rules.md")
HEAD = """# Rules on silent bugs

Written by `python docs/rules.py` from the rules; `pipetrace explain PTR101` prints the same in a
terminal. How to use them is told in [checks.md](checks.md).

A finding is an **error** or a **warning** where something was executed that contradicts what the
program's own loop does: these fail a check. **Advice** is for what works as written and is rarely
meant so; a **note** is worth knowing. Every program below is run by the tests: in the first one the
rule fires, in the second one it stays silent.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page: a table of all rules, then each rule with its programs, by family."""
    rules = every_rule()
    parts = [HEAD, _table(rules)]
    family = ""
    for rule in rules:
        if rule.family != family:
            family = rule.family
            parts.append(f"## {family}\n")
        parts.append(_rule(rule))
    return "\n".join(parts)


def _table(rules: tuple[Rule, ...]) -> str:
    rows = [f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title} |"
            for rule in rules]  # fmt: skip
    return "\n".join(["| rule | severity | title |", "|---|---|---|", *rows, ""])


def _rule(rule: Rule) -> str:
    lines = [
        f"### {rule.id}", "", f"**{rule.title}** ({rule.severity}, `{rule.name}`)", "",
        rule.words, "",
        "<details><summary>Here it fires</summary>", "", "```python", rule.fires.rstrip(), "```",
        "", "</details>", "",
        "<details><summary>This it leaves in peace</summary>", "", "```python",
        rule.silent.rstrip(), "```", "", "</details>", "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
