"""What a finding says to write instead is code, and once it is written the finding is gone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from watching import script

import pipetrace
from pipetrace.checks import mending
from pipetrace.checks.judge import every_rule

EXAMPLES = Path(pipetrace.__file__).parent / "examples" / "rules"

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("id", mending.fixed())
def test_the_fix_ends_the_finding(id: str, tmp_path: Path):
    rule = next(each for each in every_rule() if each.id == id)
    text = mending.mended(rule)
    assert text is not None
    assert text != rule.fires
    for old, _ in mending._FIXED[id]:
        assert old in rule.fires
    path = tmp_path / "fixed.py"
    path.write_text(text, encoding="utf-8")
    found = script(path)
    assert [(each.id, each.message) for each in found if each.grave or each.id == id] == []


@pytest.mark.parametrize("rule", every_rule(), ids=lambda rule: rule.id)
def test_a_fix_is_code(rule):
    for each in script(EXAMPLES / f"{rule.id.lower()}_fires.py"):
        ast.parse(each.fix)
