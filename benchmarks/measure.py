"""A ratio is the median over interleaved rounds, with a 95 % interval and a control."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Cost = Callable[[], float]
"""Does something once and returns what it cost."""


@dataclass(frozen=True)
class Result:
    """One measured number, the goal it is held against if any, and how sure it is."""

    name: str
    measured: float
    goal: float | None
    better: Literal["lower", "higher"]
    unit: str
    low: float
    high: float
    control: float | None = None
    """The same ratio of the plain variant to itself: what differs from 1 is noise."""

    @property
    def met(self) -> bool:
        """Whether the goal is reached, where there is one."""
        if self.goal is None:
            return True
        return self.measured <= self.goal if self.better == "lower" else self.measured >= self.goal


@dataclass(frozen=True)
class Missing:
    """A number that could not be measured, and why."""

    name: str
    problem: str
    goal: float | None
    unit: str
    better: Literal["lower", "higher"] = "lower"
    measured: None = None


def ratio(name: str, treated: Cost, plain: Cost, *, goal: float | None, rounds: int) -> Result:
    """Measure how many times the plain cost the treated one is.

    Each round runs plain, treated and plain again; the second plain cost over the first is the
    control.
    """
    costs = alternate({"plain": plain, "treated": treated, "again": plain}, rounds)
    kept: list[list[float]] = []
    for each in costs.values():
        if isinstance(each, Exception):
            raise each
        kept.append(each)
    first, between, again = kept
    ratios = [cost / one for cost, one in zip(between, first, strict=True)]
    control = statistics.median(cost / one for cost, one in zip(again, first, strict=True))
    low, high = interval(ratios)
    return Result(name, statistics.median(ratios), goal, "lower", "x", low, high, control)


def alternate(variants: Mapping[str, Cost], rounds: int) -> dict[str, list[float] | Exception]:
    """Run all variants in every round, a first round that warms up thrown away.

    The order turns from round to round: over as many rounds as there are variants each has had
    every place once, and for an even number each other variant before it once; then the orders
    come again backwards. A variant that raises is out of the later rounds.

    Returns:
        The costs by variant, one a round, or what the variant raised.
    """
    names = list(variants)
    count = len(names)
    zigzag = [(place + 1) // 2 * (1 if place % 2 else -1) % count for place in range(count)]
    outcomes: dict[str, list[float] | Exception] = {name: [] for name in names}
    for turn in range(rounds + 1 if names else 0):
        order = [names[(place + turn) % count] for place in zigzag]
        for name in reversed(order) if turn // count % 2 else order:
            costs = outcomes[name]
            if isinstance(costs, Exception):
                continue
            try:
                seconds = variants[name]()
            except Exception as error:
                outcomes[name] = error
                continue
            if turn:
                costs.append(seconds)
    return outcomes


def value(name: str, cost: Cost, *, goal: float, unit: str, rounds: int) -> Result:
    """Measure a cost that needs no comparison; a first round warms up and is thrown away."""
    cost()
    return median_of([cost() for _ in range(rounds)], name, goal=goal, unit=unit)


def median_of(costs: Sequence[float], name: str, *, goal: float | None, unit: str) -> Result:
    """Return the median of costs."""
    low, high = interval(costs)
    return Result(name, statistics.median(costs), goal, "lower", unit, low, high)


def problem(error: Exception) -> str:
    """Return an error's type and the first line of what it says."""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text:.100}" if text else type(error).__name__


def interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the median."""
    generator = random.Random(0)
    medians = sorted(
        statistics.median(generator.choices(values, k=len(values))) for _ in range(draws)
    )
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def wall(command: Sequence[str]) -> float:
    """Run a command, its output thrown away, and return its wall time in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=single_threaded())
    return time.perf_counter() - start


def single_threaded() -> dict[str, str]:
    """Return the environment with one thread for every numerical library."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def arguments(description: str | None, rounds: int) -> argparse.Namespace:
    """Read `--json` and `--rounds` from the command line."""
    return parser(description, rounds).parse_args()


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return what reads `--json` and `--rounds`, for a benchmark that takes more."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", action="store_true", help="print a list of objects")
    made.add_argument("--rounds", type=int, default=rounds, help="rounds of each measurement")
    return made


def report(results: Sequence[Result | Missing], *, as_json: bool) -> None:
    """Print the results as JSON or as a table."""
    if as_json:
        print(json.dumps([as_object(result) for result in results]))
        return
    width = max(len(result.name) for result in results)
    for result in results:
        goal = "" if result.goal is None else f"  goal {result.goal:g}"
        if isinstance(result, Missing):
            print(f"{result.name:{width}}  {result.problem}{goal}")
            continue
        verdict = "" if result.goal is None else "  met" if result.met else "  MISSED"
        control = "" if result.control is None else f"  A/A {result.control:.3f}"
        print(
            f"{result.name:{width}}  {result.measured:8.3f} {result.unit:7}"
            f" [{result.low:.3f}, {result.high:.3f}]{goal}{verdict}{control}"
        )


def as_object(result: Result | Missing) -> dict[str, float | str | None]:
    """Return a result as an object of JSON; one that is missing says why in a sixth key."""
    keys = ("name", "measured", "goal", "better", "unit")
    told = {key: getattr(result, key) for key in keys}
    return told | ({"problem": result.problem} if isinstance(result, Missing) else {})


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"measuring: {text}", file=sys.stderr, flush=True)
