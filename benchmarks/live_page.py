"""How soon an epoch is on the screen of a live page, and what ten readers cost the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
from measure import Missing, Result, interval, progress, ratio

READERS = 10
EPOCHS = 240
RATE = 20
"""Epochs a second."""
FREE = 80
"""Epochs of a run that is not held to a rate: some three seconds."""
TRAINING = """
import sys, time
import torch
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
torch.set_num_threads(1)
x, y = torch.randn(512, 20), torch.randint(3, (512,))
model = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(20, 10), torch.nn.ReLU(),
                            torch.nn.Linear(10, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
began, wall, cpu = time.monotonic(), time.perf_counter(), time.process_time()
for epoch in range(int(sys.argv[1])):
    for rows, targets in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(rows), targets).backward()
        optimizer.step()
    print("epoch", time.time(), flush=True)
    if float(sys.argv[2]):
        time.sleep(max(0.0, began + (epoch + 1) / float(sys.argv[2]) - time.monotonic()))
print("cost", time.perf_counter() - wall, time.process_time() - cpu, flush=True)
"""
WATCH = """
window.seen = [];
const look = () => {
  const found = /(\\d+) epochs?/.exec(document.querySelector(".subtitle")?.textContent ?? "");
  const count = found ? Number(found[1]) : 0;
  if (count <= (window.seen.at(-1)?.[0] ?? 0)) return;
  const entry = [count, 0];
  window.seen.push(entry);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    entry[1] = (performance.timeOrigin + performance.now()) / 1000;
  }));
};
new MutationObserver(look).observe(document.getElementById("page"),
  { subtree: true, childList: true, characterData: true });
"""


class Live:
    """A run with a live page, and what its script has said."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.url = url
        self.said: list[str] = []
        self._process = process
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if line.startswith("cost"):
                return

    def finish(self) -> list[str]:
        """Wait for the end of the script, and return what it has said."""
        self._thread.join()
        return self.said


@contextlib.contextmanager
def begun(folder: Path, epochs: int, rate: float, live: bool = True) -> Iterator[Live]:
    """Begin a run, with a live page or without."""
    script = folder / "train.py"
    script.write_text(TRAINING)
    words = ["--live"] if live else ["--quiet"]
    command = [sys.executable, "-m", "pipetrace", "run", *words, "--out", str(folder / "runs"),
               str(script), str(epochs), str(rate)]  # fmt: skip
    # Nobody's own browser is opened.
    environment = {**measure.single_threaded(), "BROWSER": "true"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment,
        stderr=subprocess.PIPE if live else None,
    ) as process:  # fmt: skip
        url = ""
        if live:
            assert process.stderr is not None
            url = process.stderr.readline().partition("live page: ")[2].strip()
            threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Live(process, url)
        process.wait()


@contextlib.contextmanager
def reading(url: str, count: int) -> Iterator[None]:
    """Follow a live page without drawing it."""
    events = url.replace("/run/live?", "/run/live/events?")

    def follow() -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(events) as news:
            while not left.is_set() and news.readline():
                pass

    left = threading.Event()
    threads = [threading.Thread(target=follow, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        left.set()


@contextlib.contextmanager
def tab_at(url: str) -> Iterator[Any]:
    """Open a page in a real Chromium."""
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        tab = browser.new_page()
        tab.goto(url)
        tab.evaluate(WATCH)
        yield tab
        browser.close()


def to_screen(folder: Path) -> list[Result]:
    """Measure the time from an epoch's end in the script to its frame in the browser."""
    with begun(folder, EPOCHS, RATE) as run, tab_at(run.url) as tab, reading(run.url, READERS - 1):
        said = run.finish()
        tab.wait_for_timeout(1000)
        seen = tab.evaluate("window.seen")
    ended = [float(line.split()[1]) for line in said if line.startswith("epoch")]
    lags = []
    for index, at in enumerate(ended, start=1):
        shown = next((moment for count, moment in seen if count >= index and moment), None)
        if shown is not None and index > RATE:  # the browser and the first page have settled
            lags.append(shown - at)
    speed = (len(ended) - 1) / (ended[-1] - ended[0])
    lags.sort()
    late = lags[int(0.95 * len(lags))]
    low, high = interval(lags)
    where = f"epoch to screen at {RATE} epochs/s, {READERS} readers"
    return [
        Result(f"{where}, 95th percentile", 1000 * late, 250.0, "lower", "ms",
               1000 * lags[int(0.9 * len(lags))], 1000 * lags[-1]),
        Result(f"{where}, median", 1000 * statistics.median(lags), None, "lower", "ms",
               1000 * low, 1000 * high),
        Result("epochs a second that the run kept meanwhile", speed, None, "higher", "1/s",
               speed, speed),
    ]  # fmt: skip


def slowed(folder: Path, rounds: int) -> list[Result]:
    """Compare runs with a live page that ten follow with runs without one."""
    costs: dict[int, dict[bool, list[float]]] = {1: {True: [], False: []}, 2: {True: [], False: []}}

    def cost(live: bool) -> float:
        with begun(folder, FREE, 0.0, live) as run, contextlib.ExitStack() as stack:
            if live:
                stack.enter_context(reading(run.url, READERS))
            words = next(line for line in run.finish() if line.startswith("cost")).split()
        for place in costs:
            costs[place][live].append(float(words[place]))
        return float(words[2])

    name = f"run with a live page that {READERS} follow / without one"
    cpu = ratio(f"{name}, CPU time of its process", lambda: cost(True), lambda: cost(False),
                goal=1.01, rounds=rounds)  # fmt: skip
    # Each round ran plain, live, plain, after one that warmed up.
    plain, live = costs[1][False][2:], costs[1][True][1:]
    around = [2 * one / (plain[2 * turn] + plain[2 * turn + 1]) for turn, one in enumerate(live)]
    low, high = interval(around)
    wall = Result(f"{name}, wall-clock", statistics.median(around), None, "lower", "x", low, high)
    return [cpu, wall]


def main() -> None:
    """Measure everything and print it."""
    wanted = measure.arguments(__doc__, rounds=9)
    results: list[Result | Missing] = []
    with tempfile.TemporaryDirectory() as name:
        progress("epoch to screen")
        try:
            results += to_screen(Path(name))
        except Exception as error:
            results.append(Missing("epoch to screen", measure.problem(error), 250.0, "ms"))
        progress("slowdown")
        results += slowed(Path(name), wanted.rounds)
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
