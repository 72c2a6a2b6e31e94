"""`python -m zoo` prints pass or fail for every architecture: in eval, in train, and checked."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from types import FrameType
from typing import Any

FEWEST = 150
"""So many Hugging Face architectures are to pass in all modes."""
LIMIT = 90
"""Seconds for one architecture in one mode; what takes longer fails. A check has two."""
MODES = ("eval", "train", "check")
"""Traced in either mode, and checked for silent bugs in both."""


class TooLong(Exception):
    """An architecture took longer than the limit."""


def main() -> int:
    """Check the architectures that were asked for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m zoo", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="check these architectures only")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--list", action="store_true", help="print the names and leave")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4),
                        help="processes at a time")  # fmt: skip
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _inside(options.only)
        return 0
    from zoo.catalogue import names

    wanted = options.only or names()
    if options.list:
        print("\n".join(wanted))
        return 0
    started = time.perf_counter()
    verdicts = []
    for verdict in _verdicts(wanted, options.jobs):
        verdicts.append(verdict)
        print(json.dumps(verdict) if options.json else _line(verdict), flush=True)
    return _conclude(verdicts, whole=not options.only, seconds=time.perf_counter() - started)


def _inside(names: Sequence[str]) -> None:
    """Check architectures in this process, a line of JSON for each verdict."""
    import torch

    from zoo import catalogue
    from zoo.architectures import NotBuilt
    from zoo.check import Verdict, examine, worded
    from zoo.peace import judged

    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _stop)
    for name in names:
        for mode in MODES:
            started = time.perf_counter()
            signal.alarm(LIMIT if mode != "check" else 2 * LIMIT)
            try:
                found = catalogue.find(name)
                verdict = (judged(found) if mode == "check"
                           else examine(found, training=mode == "train"))  # fmt: skip
            except NotBuilt as error:
                verdict = Verdict(name, mode, "not built", (str(error),))
            except Exception as error:
                verdict = Verdict(name, mode, "fail", (worded(error),))
            finally:
                signal.alarm(0)
            seconds = round(time.perf_counter() - started, 2)
            print(json.dumps(verdict._replace(seconds=seconds)._asdict()), flush=True)


def _verdicts(names: Sequence[str], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield what several processes find; one that dies fails only what it was at."""
    found: Queue[dict[str, Any] | None] = Queue()

    def work(share: Sequence[str]) -> None:
        waiting = [(name, mode) for name in share for mode in MODES]
        try:
            while waiting:
                rest = list(dict.fromkeys(name for name, _ in waiting))
                code = _process(rest, waiting, found)
                if waiting:
                    name, mode = waiting[0]
                    found.put({"name": name, "mode": mode, "status": "fail", "notes": [], "ops": 0,
                               "seconds": 0.0,
                               "reasons": [f"the process ended with {code}"]})  # fmt: skip
                    waiting[:] = [each for each in waiting if each[0] != name]
        finally:
            found.put(None)

    with ThreadPoolExecutor(jobs) as pool:
        for number in range(jobs):
            pool.submit(work, names[number::jobs])
        ended = 0
        while ended < jobs:
            verdict = found.get()
            if verdict is None:
                ended += 1
            else:
                yield verdict


def _process(
    names: list[str], waiting: list[tuple[str, str]], found: Queue[dict[str, Any] | None]
) -> int:
    """Check names in a fresh process, taking what it tells off the waiting list."""
    command = [sys.executable, "-m", "zoo", "--inside", "--only", *names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env=environment) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith('{"name"'):
                continue
            verdict = json.loads(line)
            place = (verdict["name"], verdict["mode"])
            if place in waiting:
                waiting.remove(place)
                found.put(verdict)
    return process.returncode


def _line(verdict: dict[str, Any]) -> str:
    status = {"pass": "pass", "fail": "FAIL"}.get(verdict["status"], verdict["status"])
    head = f"{status:9} {verdict['name']:40} {verdict['mode']:5}"
    if verdict["status"] != "not built":
        head += f" {verdict['ops']:5} ops {verdict['seconds']:6.2f} s"
    return "; ".join([head, *verdict["reasons"], *verdict["notes"]])


def _conclude(verdicts: list[dict[str, Any]], *, whole: bool, seconds: float) -> int:
    from zoo import catalogue

    outcomes: dict[str, set[str]] = {}
    for verdict in verdicts:
        outcomes.setdefault(verdict["name"], set()).add(verdict["status"])
    failed = sorted(name for name, found in outcomes.items() if "fail" in found)
    passed = [name for name, found in outcomes.items() if found == {"pass"}]
    library = [name for name in passed if name not in catalogue.HANDMADE]
    missing = len(outcomes) - len(failed) - len(passed)
    print(f"{len(passed)} architectures pass in eval, in train and checked, {len(library)} of "
          f"them from transformers; {len(failed)} fail; {missing} were not built in all modes; "
          f"{seconds:.0f} s.", file=sys.stderr)  # fmt: skip
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    if whole and len(library) < FEWEST:
        print(f"Fewer than {FEWEST} architectures from transformers passed.", file=sys.stderr)
        return 1
    return int(bool(failed))


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"more than {LIMIT} s")


if __name__ == "__main__":
    sys.exit(main())
