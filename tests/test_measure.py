"""Benchmarks tell a real difference from noise, and print what they promise."""

from __future__ import annotations

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
