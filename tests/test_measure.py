"""Benchmarks tell a real difference from noise, and print what they promise."""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "measure.py"


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure"] = module
    spec.loader.exec_module(module)
    return module


def test_a_ratio_finds_the_factor_and_its_control_finds_none(measure: ModuleType):
    noise = random.Random(1)

    def plain() -> float:
        return 1.0 + 0.02 * noise.random()

    result = measure.ratio("twice", lambda: 2 * plain(), plain, goal=1.5, rounds=25)
    assert result.low <= result.measured <= result.high
    assert result.low > 1.9
    assert result.high < 2.1
    assert abs(result.control - 1) < 0.02
    assert not result.met


def test_every_round_turns_the_order(measure: ModuleType):
    calls: list[str] = []

    def cost(name: str) -> float:
        calls.append(name)
        return 1.0

    measure.ratio("order", lambda: cost("t"), lambda: cost("p"), goal=1, rounds=3)
    assert "".join(calls) == "ptp" + "tpp" + "ppt" + "ptp"


@pytest.mark.parametrize("count", [2, 4, 8])
def test_an_even_number_of_variants_is_balanced(measure: ModuleType, count: int):
    calls: list[str] = []
    names = "abcdefgh"[:count]

    def cost(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    variants = {name: functools.partial(cost, name) for name in names}
    costs = measure.alternate(variants, rounds=count)
    assert [len(costs[name]) for name in names] == [count] * count
    rounds = ["".join(calls[at : at + count]) for at in range(0, len(calls), count)]
    warm, kept = rounds[0], rounds[:-1]
    assert rounds[-1] == warm[::-1]
    for place in range(count):
        assert sorted(order[place] for order in kept) == list(names)
    neighbours = [order[at : at + 2] for order in kept for at in range(count - 1)]
    assert len(set(neighbours)) == len(neighbours) == count * (count - 1)


def test_no_variants_cost_nothing(measure: ModuleType):
    assert measure.alternate({}, rounds=3) == {}


def test_a_variant_that_raises_is_out_and_the_others_go_on(measure: ModuleType):
    asked: list[int] = []

    def failing() -> float:
        asked.append(len(asked))
        if len(asked) == 3:
            raise OSError("the disk is full\nand more")
        return 1.0

    costs = measure.alternate({"plain": lambda: 2.0, "failing": failing}, rounds=6)
    assert costs["plain"] == [2.0] * 6
    assert len(asked) == 3
    assert measure.problem(costs["failing"]) == "OSError: the disk is full"
    with pytest.raises(OSError, match="the disk is full"):
        asked.clear()
        measure.ratio("failing", failing, lambda: 2.0, goal=1, rounds=6)


def test_an_interval_covers_the_median_it_was_drawn_around(measure: ModuleType):
    draws = random.Random(2)
    covered = 0
    for _ in range(60):
        low, high = measure.interval([draws.gauss(5, 1) for _ in range(25)], draws=400)
        covered += low <= 5 <= high
    assert covered >= 51


def test_json_has_the_five_keys(measure: ModuleType, capsys: pytest.CaptureFixture[str]):
    result = measure.value("steady", lambda: 3.0, goal=4, unit="ms", rounds=5)
    measure.report([result], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "steady", "measured": 3.0, "goal": 4, "better": "lower", "unit": "ms"}
    ]
    measure.report([result], as_json=False)
    assert "steady" in (table := capsys.readouterr().out)
    assert "met" in table


def test_what_is_missing_is_reported_and_says_why(
    measure: ModuleType, capsys: pytest.CaptureFixture[str]
):
    absent = measure.Missing("peer", "missing: peer", None, "x")
    alone = measure.median_of([3.0, 4.0, 5.0], "no goal", goal=None, unit="ms")
    measure.report([absent, alone], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "peer", "measured": None, "goal": None, "better": "lower", "unit": "x",
         "problem": "missing: peer"},
        {"name": "no goal", "measured": 4.0, "goal": None, "better": "lower", "unit": "ms"},
    ]  # fmt: skip
    measure.report([absent, alone], as_json=False)
    first, second = capsys.readouterr().out.splitlines()
    assert "missing: peer" in first
    assert "goal" not in second.removeprefix("no goal")
    assert "met" not in second
