"""What tracing costs, ours and four other tracers' in the same rounds on the same models."""

from __future__ import annotations

import json
import operator
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import measure
from forwards import FORWARDS
from measure import Missing, Result, progress
from tracers import TRACERS

GOALS = {
    "BERT-base": 1.10,
    "ViT-B/16": 1.10,
    "GPT-2": 1.10,
    "ResNet-50": 1.20,
    "BERT-base, train mode with gradients": 1.10,
    "seed MLP, train mode": 5.0,
}
OURS, READ = "pipetrace", "pipetrace, ops read"
PLAIN, AGAIN = "plain", "again"
TRACED = [each for each in TRACERS if each not in (PLAIN, AGAIN)]
CONTROL = "no tracer"
NO_GROWTH = 5.0
"""MB: two equal plain processes differ by up to 4, and one hidden state takes 3 at 8x128."""

PACKAGES = ("torch", "transformers", "torchlens", "torchinfo", "torchview", "nnsight")

Numbers = list[float] | str
"""One number a round, or why there is none."""


class WorkError(Exception):
    """A process of its own ended without an answer."""


@dataclass(frozen=True)
class Row:
    """One question, what each tracer gave, and what no tracer gave."""

    name: str
    goal: float
    unit: str
    results: Mapping[str, Result | Missing]
    detail: str = ""


def row(
    name: str, found: Mapping[str, Numbers], *, goal: float, unit: str, detail: str = ""
) -> Row:
    """Take the median over the rounds; the goal is that of our traced forward."""
    results: dict[str, Result | Missing] = {}
    for each, numbers in found.items():
        title, held = f"{name}: {each}", goal if each == OURS else None
        if isinstance(numbers, str):
            results[each] = Missing(title, numbers, held, unit)
        else:
            results[each] = measure.median_of(numbers, title, goal=held, unit=unit)
    return Row(name, goal, unit, results, detail)


def paired(combine: Callable[[float, float], float], numbers: Numbers, others: Numbers) -> Numbers:
    """Combine the numbers of the same rounds."""
    if isinstance(numbers, str):
        return numbers
    if isinstance(others, str):
        return others
    return [combine(one, other) for one, other in zip(numbers, others, strict=True)]


def thousandfold(numbers: Numbers) -> Numbers:
    """Turn seconds into milliseconds."""
    return numbers if isinstance(numbers, str) else [1000 * each for each in numbers]


def ask(work: str, *arguments: Any) -> Any:
    """Do a piece of work in a fresh process with one thread, and return its answer.

    Raises:
        WorkError: the work raised, or the process ended before it was done.
    """
    program = Path(__file__).with_name("forwards.py")
    done = subprocess.run(
        [sys.executable, str(program), work, json.dumps(arguments)],
        capture_output=True, text=True, check=False, env=measure.single_threaded(),
    )  # fmt: skip
    if done.returncode:
        raise WorkError(f"ended with code {done.returncode}")
    told = json.loads(done.stdout.splitlines()[-1])
    if "problem" in told:
        raise WorkError(told["problem"])
    return told["answer"]


def missing(tracers: Sequence[str], model: str = "") -> dict[str, Numbers]:
    """Say of each tracer that cannot be measured here which package is not installed."""
    if model and not FORWARDS[model].installed:
        return dict.fromkeys(tracers, f"missing: {FORWARDS[model].package}")
    needed = {each: TRACERS[each] for each in tracers if not TRACERS[each].installed}
    return {each: f"missing: {tracer.package}" for each, tracer in needed.items()}


def forward(name: str, rounds: int) -> Iterator[Row]:
    """Measure the ratio traced/plain of a forward, all tracers in every round of one process."""
    costs, detail = missing(list(TRACERS), name), ""
    if present := [each for each in TRACERS if each not in costs]:
        try:
            answer = ask("interleaved", name, present, rounds)
            costs |= answer["costs"]
            shape = "x".join(str(size) for size in (answer["rows"], *FORWARDS[name].row))
            alone = measure.median_of(answer["costs"][PLAIN], name, goal=None, unit="s")
            detail = f", {shape}, plain {1000 * alone.measured:.3g} ms"
        except WorkError as error:
            costs |= dict.fromkeys(present, str(error))
    ratios = {each: paired(operator.truediv, costs[each], costs[PLAIN]) for each in TRACED}
    ratios[CONTROL] = paired(operator.truediv, costs[AGAIN], costs[PLAIN])
    yield row(f"{name}, traced/plain", ratios, goal=GOALS[name], unit="x", detail=detail)
    if FORWARDS[name].repeats > 1:
        times = {each: thousandfold(costs[each]) for each in TRACED}
        times[CONTROL] = thousandfold(costs[PLAIN])
        yield row(f"{name}, one forward", times, goal=0.4, unit="ms")


def in_processes(
    work: str, tracers: Sequence[str], rounds: int, *arguments: Any, model: str = ""
) -> dict[str, Numbers]:
    """Ask every tracer in every round, each time in a process of its own."""
    found = missing(tracers, model)
    present = {each: partial(ask, work, each, *arguments) for each in tracers if each not in found}
    for each, numbers in measure.alternate(present, rounds).items():
        found[each] = str(numbers) if isinstance(numbers, Exception) else numbers
    return {each: found[each] for each in tracers}


def first_trace(rounds: int) -> Iterator[Row]:
    """Time the first trace in a process, from when torch is imported and the model made."""
    seconds = in_processes("first", [PLAIN, *TRACED], rounds)
    times = {each: thousandfold(numbers) for each, numbers in seconds.items()}
    times[CONTROL] = times.pop(PLAIN)
    yield row("first trace in a process, beyond importing torch", times, goal=60, unit="ms")


def nothing_left(rounds: int) -> Iterator[Row]:
    """Compare a plain forward after a trace with one before it; the control traces nothing.

    The medians are rounded to the two decimals of the goal, 1.00; the intervals are not.
    """
    ratios = in_processes("left", [PLAIN, *TRACED], rounds)
    ratios[CONTROL] = ratios.pop(PLAIN)
    exact = row("seed MLP, forward after a trace/before", ratios, goal=1.0, unit="x")
    rounded = {
        each: replace(result, measured=round(result.measured, 2))
        if isinstance(result, Result)
        else result
        for each, result in exact.results.items()
    }
    yield replace(exact, results=rounded)


def memory(rounds: int) -> Iterator[Row]:
    """Compare the peak memory of processes that run BERT-base traced and plain."""
    extra: dict[str, Numbers] = {}
    for rows in (2, 8):
        peaks = in_processes("peak", [PLAIN, OURS, READ, "torchlens", AGAIN], slow(rounds), rows,
                             model="BERT-base")  # fmt: skip
        less = extra
        extra = {each: paired(operator.sub, peaks[each], peaks[PLAIN]) for each in peaks}
        extra[CONTROL] = extra.pop(AGAIN)
        del extra[PLAIN]
        yield row(f"BERT-base, {rows}x128, peak memory beyond plain", extra, goal=60, unit="MB")
    grown = {each: paired(operator.sub, extra[each], less[each]) for each in extra}
    yield row("BERT-base, the same at 8x128 less at 2x128", grown, goal=NO_GROWTH, unit="MB")


def slow(rounds: int) -> int:
    """Return in how many rounds memory is asked for, where a round takes half a minute."""
    return max(1, rounds // 3)


QUESTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    **{name: partial(forward, name) for name in FORWARDS},
    "first trace": first_trace,
    "nothing left on": nothing_left,
    "memory": memory,
}


def cell(result: Result | Missing | None) -> str:
    """Write a median and its interval, to two decimals or, from 10 on, to three digits."""
    if result is None:
        return "not asked"
    if isinstance(result, Missing):
        return result.problem.partition(":")[0]
    numbers = (result.measured, result.low, result.high)
    median, low, high = (f"{x:.0f}" if abs(x) >= 100 else f"{x:.{1 + (abs(x) < 10)}f}"
                         for x in numbers)  # fmt: skip
    return f"{median} ({low} to {high})"


def table(rows: Sequence[Row], rounds: int) -> str:
    """Write the rows as Markdown, with what each tracer records and what it was measured on."""
    columns = [*TRACED, CONTROL]
    lines = [
        f"| | goal | {' | '.join(columns)} |",
        f"|---|---:|{'---:|' * len(columns)}",
    ]
    for each in rows:
        cells = [cell(each.results.get(column)) for column in columns]
        lines.append(f"| {each.name}{each.detail} | {each.goal:g} {each.unit} | "
                     f"{' | '.join(cells)} |")  # fmt: skip
    lines += ["", f"Medians of {rounds} rounds ({slow(rounds)} for memory) and their 95 % "
              f"intervals. {caption()}", ""]  # fmt: skip
    lines += [f"* {name}: {TRACERS[name].records}" for name in TRACED]
    return "\n".join(lines)


def caption() -> str:
    """Name the machine and the versions."""
    named = []
    for package in PACKAGES:
        try:
            named.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            named.append(f"{package} missing")
    return (
        f"Processor time of one thread ({platform.machine()}, {platform.system()}; the first trace "
        f"is wall time), Python {platform.python_version()}, {', '.join(named)}."
    )


def main() -> None:
    """Measure everything and print it."""
    parser = measure.parser(__doc__, rounds=9)
    parser.add_argument("--table", action="store_true", help="print a table in Markdown")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS),
                        metavar="QUESTION", help=", ".join(QUESTIONS))  # fmt: skip
    wanted = parser.parse_args()
    rows: list[Row] = []
    for name in wanted.only:
        progress(name)
        rows += QUESTIONS[name](wanted.rounds)
    if wanted.table:
        print(table(rows, wanted.rounds))
    else:
        results = [result for each in rows for result in each.results.values()]
        measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
