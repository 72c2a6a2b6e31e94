"""Silent bugs caught, missed and invented, and what a check costs, beside four other checkers."""

from __future__ import annotations

import gc
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import measure
from checkers import CHECKERS, Checker, Said, own_steps
from measure import Missing, Result

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
SECONDS = 0.3


class Judged(NamedTuple):
    """What a checker said of one case."""

    bug: str | None
    said: Said
    case: str
    seconds: float
    """Beyond the case's own steps, as often as the checker runs them."""


def module(path: Path) -> ModuleType:
    """Import a file by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def right_diagnoses() -> dict[str, Any]:
    """Return what the tests hold for a right diagnosis of each bug; none without pytest."""
    tests = ROOT / "tests" / "checks"
    sys.path.insert(0, str(tests))
    try:
        return dict(module(tests / "test_cases.py").BUGS)
    except ImportError:
        return {}
    finally:
        sys.path.remove(str(tests))


def judged(checker: Checker, case: ModuleType, rounds: int) -> Judged:
    """Let a checker look at a case, fresh in every round; what it raises is nothing said."""
    said: Said = set()
    costs = []
    for _ in range(rounds):
        gc.collect()
        spent = []
        for look in (True, False):
            made = case.build()
            start = time.perf_counter()
            try:
                if look:
                    said = checker.check(made)
                else:
                    own_steps(made, checker.rounds)
            except Exception as error:
                name = f"{case.__name__}, {checker.package}"
                print(f"{name}: {measure.problem(error)}", file=sys.stderr)
            spent.append(time.perf_counter() - start)
        costs.append(spent[0] - spent[1])
    return Judged(case.build()["bug"], said, case.__name__, statistics.median(costs))


def rows(name: str, found: list[Judged], right: dict[str, Any]) -> list[Result | Missing]:
    """Count what a checker said, and time it; only of ours it is known what a right word is."""
    bugs = [each for each in found if each.bug is not None]
    healthy = [each for each in found if each.bug is None]
    ours = name == "pipetrace"
    results: list[Result | Missing] = []

    def count(what: str, number: float, goal: float | None, higher: bool) -> None:
        better = "higher" if higher else "lower"
        results.append(Result(f"{name}: {what}", number, goal if ours else None, better, "cases",
                              number, number))  # fmt: skip

    if ours and right:
        caught = sum(bool(each.said) and all(fits(right[str(each.bug)], one) for one in each.said)
                     for each in bugs)  # fmt: skip
        count(f"bugs named at their place, of {len(bugs)}", caught, len(bugs), True)
        count("bugs missed or named wrong", len(bugs) - caught, 0, False)
    elif ours:
        results.append(Missing(f"{name}: bugs named at their place", "missing: pytest", len(bugs),
                               "cases", "higher"))  # fmt: skip
    count(f"bugs of which something is said, right or not, of {len(bugs)}",
          sum(bool(each.said) for each in bugs), None, True)  # fmt: skip
    count(f"false alarms, of {len(healthy)}", sum(bool(each.said) for each in healthy), 0, False)
    seconds = [each.seconds for each in found]
    results.append(measure.median_of(seconds, f"{name}: seconds beyond the program's own, median",
                                     goal=SECONDS if ours else None, unit="s"))  # fmt: skip
    slowest, case = max((each.seconds, each.case) for each in found)
    results.append(Result(f"{name}: the same, slowest ({case})", slowest,
                          SECONDS if ours else None, "lower", "s", slowest, slowest))  # fmt: skip
    return results


def observing(rounds: int) -> Iterator[Result]:
    """Compare the seed's loop, observed, with the same only recorded: 40 epochs of 32 steps."""
    import torch
    from torch import nn
    from torch.nn import functional

    from pipetrace.session import Session

    rows = torch.randn(1024, 20)
    targets = torch.randint(0, 3, (1024,))

    def loop(**settings: bool) -> float:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        session = Session("loop", "python", lean=True, **settings)
        session.begin()
        started = time.process_time()
        for _ in range(40):
            model.train()
            for first in range(0, 1024, 32):
                optimizer.zero_grad()
                some = slice(first, first + 32)
                functional.cross_entropy(model(rows[some]), targets[some]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                model(rows)
        spent = time.process_time() - started
        session.end()
        session.close()
        return spent

    words = {"observed as by `pipetrace check`": {"checking": True},
             "observed as by `pipetrace run`": {"checking": True, "frugal": True}}  # fmt: skip
    for name, settings in words.items():
        yield measure.ratio(f"the seed's loop, {name}, over recorded",
                            lambda settings=settings: loop(**settings), loop,
                            goal=None, rounds=rounds)  # fmt: skip


def fits(right: Any, one: tuple[str, str, str]) -> bool:
    """Tell whether a finding names the mechanism of a bug, at its place."""
    rule, path, text = one
    placed = not right.modules or path in right.modules
    return rule in right.rules and placed and right.line in text


def main() -> None:
    """Let every checker look at every case, and print what came of it."""
    reader = measure.parser(__doc__, rounds=3)
    reader.add_argument("--cases", type=Path, default=CASES, help="folder of the programs")
    reader.add_argument("--only", nargs="+", choices=CHECKERS, default=list(CHECKERS),
                        metavar="CHECKER", help=", ".join(CHECKERS))  # fmt: skip
    wanted = reader.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    files = sorted(wanted.cases.glob("case_*.py"))
    cases = [each for each in map(module, files) if all(
        importlib.util.find_spec(name) for name in getattr(each, "REQUIRES", ())
    )]  # fmt: skip
    right = right_diagnoses()
    results: list[Result | Missing] = []
    for name in wanted.only:
        checker = CHECKERS[name]
        if not cases or not checker.installed:
            lacking = checker.package if cases else f"the programs, {wanted.cases}"
            results.append(Missing(f"{name}: all", f"missing: {lacking}", None, "cases"))
            continue
        measure.progress(name)
        judged(checker, cases[0], 1)
        found = [judged(checker, case, wanted.rounds) for case in cases]
        results += rows(name, found, right)
    if "pipetrace" in wanted.only:
        measure.progress("observing")
        results += observing(4 * wanted.rounds)
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
