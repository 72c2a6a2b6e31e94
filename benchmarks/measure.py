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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Cost = Callable[[], float]
"""Does something once and returns what it cost."""


@dataclass(frozen=True)
class Result:
    """One measured number, the goal it is held against, and how sure it is."""

    name: str
    measured: float
    goal: float
    better: Literal["lower", "higher"]
    unit: str
    low: float
    high: float
    control: float | None = None
    """The same ratio of the plain variant to itself: what differs from 1 is noise."""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.measured <= self.goal if self.better == "lower" else self.measured >= self.goal


def ratio(name: str, treated: Cost, plain: Cost, *, goal: float, rounds: int) -> Result:
    """Measure how many times the plain cost the treated one is.

    Each round runs plain, treated and plain again, in an order that turns from round to round; the
    second plain cost over the first is the control. A first round warms up and is thrown away.
    """
    ratios, controls = [], []
    variants = {"plain": plain, "treated": treated, "again": plain}
    for turn in range(rounds + 1):
        names = list(variants)
        names = names[turn % 3 :] + names[: turn % 3]
        costs = {each: variants[each]() for each in names}
        if turn:
            ratios.append(costs["treated"] / costs["plain"])
            controls.append(costs["again"] / costs["plain"])
    low, high = interval(ratios)
    control = statistics.median(controls)
    return Result(name, statistics.median(ratios), goal, "lower", "x", low, high, control)


def value(name: str, cost: Cost, *, goal: float, unit: str, rounds: int) -> Result:
    """Measure a cost that needs no comparison; a first round warms up and is thrown away."""
    cost()
    costs = [cost() for _ in range(rounds)]
    low, high = interval(costs)
    return Result(name, statistics.median(costs), goal, "lower", unit, low, high)


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
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of each measurement")
    return parser.parse_args()


def report(results: Sequence[Result], *, as_json: bool) -> None:
    """Print the results as JSON or as a table."""
    if as_json:
        keys = ("name", "measured", "goal", "better", "unit")
        print(json.dumps([{key: getattr(result, key) for key in keys} for result in results]))
        return
    width = max(len(result.name) for result in results)
    for result in results:
        control = "" if result.control is None else f"  A/A {result.control:.3f}"
        print(
            f"{result.name:{width}}  {result.measured:8.3f} {result.unit:7}"
            f" [{result.low:.3f}, {result.high:.3f}]  goal {result.goal:g}"
            f"  {'met' if result.met else 'MISSED'}{control}"
        )


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"measuring: {text}", file=sys.stderr, flush=True)
