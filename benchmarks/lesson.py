"""How soon a lesson can be used after it was asked for, and what its questions cost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import measure
from measure import Missing, Result, progress, ratio

LESSON = (sys.executable, "-m", "pipetrace", "learn", "dropout", "--seed", "1")
TORCH = (sys.executable, "-c", "import torch")
QUESTIONS = """
import sys, time
from pathlib import Path
from pipetrace.lessons import folder, select
from pipetrace.probes.execute import execute
from pipetrace.tutoring.tutor import run_example

recording = run_example(folder.named("dropout"), Path(sys.argv[1]))
for lesson in ("dropout", None):
    started = time.perf_counter()
    asked = select.bank(recording, execute, int(sys.argv[2]), lesson).questions
    print(len(asked), sum(len(each.choices) for each in asked), time.perf_counter() - started)
"""


def main() -> None:
    """Measure, and print each result."""
    given = measure.arguments(__doc__, rounds=5)
    results: list[Result | Missing] = []
    with tempfile.TemporaryDirectory() as folder:
        progress("what the questions of a run cost")
        results += questions(Path(folder), given.rounds)
        progress("how soon the page of a lesson can be used")
        results += page(Path(folder), given.rounds)
    measure.report(results, as_json=given.json)


def questions(folder: Path, rounds: int) -> list[Result]:
    """Draw and execute every question in a fresh process each time."""
    sets: list[list[float]] = [[], []]
    counts = [(0, 0), (0, 0)]
    for seed in range(rounds):
        told = subprocess.run([sys.executable, "-c", QUESTIONS, str(folder), str(seed)],
                              check=True, capture_output=True, text=True).stdout  # fmt: skip
        for place, line in enumerate(told.splitlines()):
            asked, executed, seconds = line.split()
            counts[place] = int(asked), int(executed)
            sets[place].append(float(seconds))
    names = ("of the lesson", "of the run's subject and of any run")
    return [
        measure.median_of(seconds, f"{asked} questions {name}, {executed} options executed",
                          goal=5.0, unit="seconds")
        for seconds, name, (asked, executed) in zip(sets, names, counts, strict=True)
    ]  # fmt: skip


def page(folder: Path, rounds: int) -> list[Result | Missing]:
    """Open the page in a browser that runs already, until its modes and questions are there."""
    name = "pipetrace learn to a usable page"
    browser = next(
        (found for each in ("chromium", "chromium-browser", "google-chrome")
         if (found := shutil.which(each))), None,
    )  # fmt: skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        return [Missing(name, measure.problem(error), 6.0, "seconds")]
    if browser is None:
        return [Missing(name, "no Chromium was found", 6.0, "seconds")]
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = chromium.new_page()

        def usable() -> float:
            started = time.perf_counter()
            with learning(folder) as url:
                tab.goto(url)
                tab.wait_for_selector("[role=tablist] [role=tab]")
                tab.get_by_role("tab", name="Practice").click()
                tab.wait_for_selector(".question input[type=radio]")
                return time.perf_counter() - started

        soon = measure.value(name, usable, goal=6.0, unit="seconds", rounds=rounds)
        imported = measure.value("import torch", lambda: measure.wall(TORCH), goal=6.0,
                                 unit="seconds", rounds=rounds)  # fmt: skip
        share = ratio(f"{name} / import torch", usable, lambda: measure.wall(TORCH), goal=None,
                      rounds=rounds)  # fmt: skip
        chromium.close()
    return [soon, Result(**{**vars(imported), "goal": None}), share]


@contextlib.contextmanager
def learning(folder: Path) -> Iterator[str]:
    """Start the command, and give the address that it prints."""
    environment = {**os.environ, "PIPETRACE_DATA": str(folder / "learner"), "DISPLAY": ""}
    process = subprocess.Popen([*LESSON, "--out", str(folder)], stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True, env=environment)  # fmt: skip
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://\S+", line):
                yield found.group()
                return
        raise RuntimeError(f"pipetrace learn ended with {process.wait()}")
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
