"""How soon a page is on the screen, how smoothly it follows the hand, and how large it is."""

from __future__ import annotations

import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import measure
from measure import Missing, Result, progress, value
from pipetrace.blocks import Chart, Fact, Flow, Line, Page, Section, Spot, Stage, Strip, plain
from pipetrace.views import demo_models, html

GOALS = {"seed": 100, "1,000 stages": 180, "10,000 stages": 400}
"""Milliseconds from the start of the navigation to the first frame with the page in it."""
FRAME = 16
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STEPS = 60
POINTS = 2000
SHOWN = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("main")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => (window.shown = performance.now())));
}).observe(document, { childList: true, subtree: true });
"""
FRAMES = """
window.frame = (act) => new Promise((done) => requestAnimationFrame(() => {
  const start = performance.now();
  act();
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(performance.now() - start);
  channel.port2.postMessage(0);
}));
window.slow = async (count, act) => {
  const times = [];
  for (let at = 0; at < count; at += 1) times.push(await window.frame(() => act(at)));
  return times.sort((a, b) => a - b)[Math.floor(0.95 * (count - 1))];
};
"""
STEP = """
(count) => {
  const tree = document.querySelector("[role=tree]");
  tree.focus();
  return window.slow(count, () => tree.dispatchEvent(
    new KeyboardEvent("keydown", { key: "j", bubbles: true, cancelable: true })));
}
"""
SLIDE = """
(count) => {
  const slider = document.querySelector(".is-draws input[type=range]");
  const last = Number(slider.max);
  return window.slow(count, (at) => {
    slider.value = String(at % (last + 1));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
"""
OURS = """
(block) => window.frame(() => {
  const place = document.getElementById("place");
  place.replaceChildren(window.chart(block, { memory: {}, state: {}, keep() {} }));
})
"""
THEIRS = """
([x, lines]) => window.frame(() => {
  const place = document.getElementById("place");
  place.replaceChildren();
  const series = [{}, ...lines.map((_, at) => ({ label: "line " + at, stroke: "#1f5bb8" }))];
  new uPlot({ width: 700, height: 320, scales: { x: { time: false } }, series },
            [x, ...lines], place);
})
"""


def staged(count: int) -> Page:
    """Make a page with so many stages, a hundred in a block, and one dropout layer's draws."""
    source = random.Random(0)
    groups = []
    for outer in range(count // 100):
        inside = [
            Stage(
                id=f"{outer}.{inner}",
                name=f"Linear(64, 64) {inner}",
                mode="train mode",
                words="Multiplies each row with the weights and adds the bias.",
                shape="32 × 64 → 32 × 64",
                strips=(
                    Strip(label="out", total=64,
                          values=tuple(round(source.gauss(0, 1), 4) for _ in range(16))),
                ),
                facts=(Fact(label="mean", value="0.0123", note="exact"),),
                spots=(Spot(file="train.py", line=40 + inner, text="x = self.layers(x)"),),
            )
            for inner in range(99)
        ]  # fmt: skip
        groups.append(Stage(id=str(outer), name=f"Block {outer}", stages=tuple(inside)))
    sections = (
        Section(id="flow", title="Data flow", blocks=(Flow(stages=tuple(groups)),)),
        Section(id="lab", title="Dropout lab", blocks=(demo_models.draws(),)),
    )
    return Page(title="A page", subtitle=f"{count} stages", sections=sections)


def record(folder: Path) -> Path:
    """Run the built-in example and return its page."""
    command = [sys.executable, "-m", "pipetrace", "run", "--quiet", "--name", "seed",
               "--out", str(folder)]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "seed.html"


@contextmanager
def browser() -> Iterator[Any]:
    """Open a Chromium."""
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("CHROMIUM", ""), *NAMES)
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    if path is None:
        raise FileNotFoundError("there is no Chromium here: name one in CHROMIUM")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


def first_render(opened: Any, path: Path) -> Callable[[], float]:
    """Return what loads a page afresh and says after how many milliseconds it was shown."""

    def cost() -> float:
        tab = opened.new_page(viewport={"width": 1280, "height": 900})
        tab.add_init_script(SHOWN)
        tab.goto(path.as_uri())
        # A function that is waited for would be evaluated by the page, whose policy forbids it.
        while not tab.evaluate("window.shown"):
            tab.wait_for_timeout(5)
        shown = float(tab.evaluate("window.shown"))
        tab.close()
        return shown

    return cost


def frames(opened: Any, path: Path, action: str) -> Callable[[], float]:
    """Return what does something in every frame and says the 95th percentile of their times."""

    def cost() -> float:
        tab = opened.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(path.as_uri())
        tab.wait_for_selector("main")
        tab.evaluate(FRAMES)
        times = float(tab.evaluate(action, STEPS))
        tab.close()
        return times

    return cost


def size(name: str, count: int, goal: float | None) -> Result:
    """Return a number of bytes, which does not vary."""
    return Result(name, count, goal, "lower", "bytes", count, count)


def sizes(seed: Path) -> list[Result]:
    """Count the bytes of the seed's page and of the viewer in it."""
    script, sheet = len(html.module().encode()), len(html.style().encode())
    return [
        size("the seed page's HTML", seed.stat().st_size, 200_000),
        size("the viewer's own JavaScript", script, 80_000),
        size("the viewer's own CSS", sheet, None),
    ]


def joined(*names: str) -> str:
    """Join some of the viewer's files into one, as a page joins them all."""
    folder = resources.files("pipetrace.views") / "static"
    sources = ((folder / name).read_text(encoding="utf-8") for name in names)
    return "\n".join(
        re.sub(r"^export ", "", re.sub(r"^import .*;\n", "", source, flags=re.M), flags=re.M)
        for source in sources
    )


def charts(opened: Any, folder: Path, rounds: int) -> list[Result]:
    """Compare our chart with uPlot's, from a folder that holds its `uPlot.iife.min.js`."""
    x = [float(at) for at in range(POINTS)]
    lines = [[math.sin(at / 90 + shift) for at in range(POINTS)] for shift in range(3)]
    series = tuple(Line(label=f"line {at}", values=tuple(row)) for at, row in enumerate(lines))
    block = plain(Chart(title="c", x_label="x", y_label="y", x=tuple(x), lines=series))
    library = next(folder.rglob("uPlot.iife.min.js"))
    own = joined("dom.js", "chart.js")
    tab = opened.new_page(viewport={"width": 1280, "height": 900})
    tab.set_content('<div class="pipetrace"><div id="place"></div></div>')
    tab.add_style_tag(content=html.style())
    tab.add_script_tag(content=f"{own}\nwindow.chart = chart;", type="module")
    tab.add_script_tag(path=library)
    tab.evaluate(FRAMES)
    tab.wait_for_function("Boolean(window.chart && window.uPlot)")
    name = f"one frame that draws 3 lines of {POINTS:,} points"
    results = [
        value(f"{name}: our chart", lambda: float(tab.evaluate(OURS, block)),
              goal=None, unit="ms", rounds=rounds),
        value(f"{name}: uPlot", lambda: float(tab.evaluate(THEIRS, [x, lines])),
              goal=None, unit="ms", rounds=rounds),
        size("our chart.js: pins, log scale, keyboard", len(joined("chart.js").encode()), None),
        size("uPlot.iife.min.js: log scale, cursor", library.stat().st_size, None),
    ]  # fmt: skip
    tab.close()
    return results


def measured(folder: Path, rounds: int, library: Path | None) -> list[Result]:
    """Measure all that a browser is needed for, and the bytes."""
    pages = {"seed": record(folder)}
    for count in (1000, 10_000):
        pages[f"{count:,} stages"] = folder / f"{count}.html"
        html.write(staged(count), pages[f"{count:,} stages"])
    results = sizes(pages["seed"])
    with browser() as opened:
        for name, path in pages.items():
            progress(f"first render, {name}")
            results.append(value(f"first render, {name}", first_render(opened, path),
                                 goal=GOALS[name], unit="ms", rounds=rounds))  # fmt: skip
        for name, action in (("next stage", STEP), ("p slider", SLIDE)):
            progress(name)
            cost = frames(opened, pages["1,000 stages"], action)
            results.append(value(f"a frame of the {name} at 1,000 stages, 95th percentile", cost,
                                 goal=FRAME, unit="ms", rounds=rounds))  # fmt: skip
        if library is not None:
            progress("charts")
            results += charts(opened, library, rounds)
    return results


def main() -> None:
    """Measure everything and print it."""
    asked = measure.parser(__doc__, rounds=9)
    asked.add_argument("--uplot", type=Path, metavar="PATH",
                       help="folder of the npm package uplot, to compare charts")  # fmt: skip
    wanted = asked.parse_args()
    results: list[Result | Missing]
    with tempfile.TemporaryDirectory() as name:
        try:
            results = [*measured(Path(name), wanted.rounds, wanted.uplot)]
        except (ImportError, FileNotFoundError) as error:
            reason = measure.problem(error)
            results = [Missing(f"first render, {key}", reason, goal, "ms")
                       for key, goal in GOALS.items()]  # fmt: skip
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
