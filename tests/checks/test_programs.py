"""Every rule fires by several routes, and what looks alike is left in peace."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watching import program, programs, script

import pipetrace
from pipetrace.checks.judge import every_rule

EXAMPLES = Path(pipetrace.__file__).parent / "examples" / "rules"
MOST = 3
"""So many programs that fire, and so many that stay silent, has every rule beside its examples."""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("name", "build"), programs(), ids=[name for name, _ in programs()])
def test_a_program_is_judged_right(name: str, build: Callable[[], dict[str, Any]]):
    found = program(build)
    grave = [(each.id, each.module, each.message) for each in found if each.grave]
    if name.startswith("silent_"):
        assert grave == []
        return
    wanted = name.split("_")[1].upper()
    assert wanted in [each.id for each in found], grave
    assert {each[0] for each in grave} <= {wanted}


@pytest.mark.parametrize("rule", every_rule(), ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_show_it(rule):
    fired = script(EXAMPLES / f"{rule.id.lower()}_fires.py")
    assert rule.id in [each.id for each in fired]
    assert all(each.message and each.evidence and each.fix for each in fired)
    assert re.search(r"\d", next(each.evidence for each in fired if each.id == rule.id))
    assert [each for each in script(EXAMPLES / f"{rule.id.lower()}_silent.py") if each.grave] == []


def test_every_rule_has_programs_of_both_kinds():
    counts = Counter(tuple(name.split("_")[:2]) for name, _ in programs())
    few = {
        (kind, rule.id): counts[kind, rule.id.lower()]
        for rule in every_rule()
        for kind in ("fires", "silent")
        if counts[kind, rule.id.lower()] < MOST
    }
    assert few == {}
