"""The page of the rules is made of the rules, and what the documentation says can be typed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from watching import module

from pipetrace.checks import configuration, judge

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_rules_is_current():
    """`python docs/rules.py` writes it anew."""
    made = module(DOCS / "rules.py").page()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == made


def test_every_rule_has_a_heading():
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert [line[4:] for line in lines if line.startswith("### ")] == [
        rule.id for rule in judge.every_rule()
    ]
    families = [line for line in lines if line.startswith("## ")]
    assert len(families) == len(set(families))


def test_the_configuration_in_the_documentation_is_right(tmp_path: Path):
    text = (DOCS / "checks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        tomllib.loads(block)
        (tmp_path / "pyproject.toml").write_text(block, encoding="utf-8")
        configuration.configured(judge.every_rule(), tmp_path)
