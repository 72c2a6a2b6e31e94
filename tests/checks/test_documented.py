"""The page of the rules is made of the rules, and what the documentation says can be typed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from watching import module

from pipetrace.checks import configuration, judge
from pipetrace.checks.findings import Finding

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_rules_is_current():
    """`python docs/rules.py` writes it anew."""
    made = module(DOCS / "rules.py").page()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == made


def test_every_link_of_a_finding_leads_to_a_heading():
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    headings = {f"#{line[4:].lower()}" for line in text.splitlines() if line.startswith("### ")}
    for rule in judge.every_rule():
        finding = Finding(id=rule.id, severity="note", message="", evidence="", fix="")
        page, _, anchor = finding.link.partition("#")
        assert page == "docs/rules.md"
        assert f"#{anchor}" in headings


def test_the_configuration_in_the_documentation_is_right(tmp_path: Path):
    text = (DOCS / "checks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        tomllib.loads(block)
        (tmp_path / "pyproject.toml").write_text(block, encoding="utf-8")
        configuration.configured(judge.every_rule(), tmp_path)
