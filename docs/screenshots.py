"""Renews the pictures of the documentation from real runs and the real lesson on dropout."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import pipetrace

PICTURES = Path(__file__).parent / "img"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TALLEST = 1500
"""Pixels of a section that are shown: a picture that is longer is not looked at."""
MARGIN = 16
COLOURS = 128
OPENING = {"flow": "Next"}
"""What is pressed in a section before its picture is taken: the stage after the input."""


LESSON = {
    "lesson-why": ("on-why-measured-few-rows-and-a-wide-network", ()),
    "lesson-practice": ("practice", ("Check",)),
    "lesson-checks": ("checks", ("Run the check",)),
    "lesson-experiment": ("experiment", ("Run",)),
    "lesson-review": ("exam", ()),
}
"""Pictures of the lesson: the section, and what is pressed in it."""
BUGGY = "ptr101_fires.py"
"""The program whose findings are shown."""


def chromium() -> str:
    """Return the path of a Chromium."""
    names = (os.environ.get("CHROMIUM", ""), *NAMES)
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    if path is None:
        sys.exit("There is no Chromium here: name one in CHROMIUM.")
    return path


def record(folder: Path) -> Path:
    """Run the example and return its HTML page."""
    command = [sys.executable, "-m", "pipetrace", "run", "--quiet", "--out", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.html"))


def teach(folder: Path) -> Path:
    """Write the lesson on dropout and return its HTML page."""
    page = folder / "lesson.html"
    command = ["learn", "dropout", "--seed", "1", "--out", str(folder / "runs"), "--output"]
    data = {**os.environ, "PIPETRACE_DATA": str(folder / "learner")}
    subprocess.run([sys.executable, "-m", "pipetrace", *command, str(page)], check=True,
                   stdout=subprocess.DEVNULL, env=data)  # fmt: skip
    return page


def check(folder: Path) -> Path:
    """Check a program with a silent bug and return its HTML page."""
    program = Path(pipetrace.__file__).parent / "examples" / "rules" / BUGGY
    command = ["check", "--quiet", "--exit-zero", "--out", str(folder), str(program)]
    subprocess.run([sys.executable, "-m", "pipetrace", *command], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    return next(folder.glob("*.html"))


def save(taken: bytes, name: str) -> None:
    """Write a picture with few colours: a fifth of the bytes, and no difference to the eye."""
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    small = image.quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE)
    small.save(PICTURES / f"{name}.png", optimize=True)


def take(page: Any, scheme: str) -> None:
    """Take the top of the page and every section of it in one theme."""
    save(page.screenshot(), f"page-{scheme}")
    for section in page.locator("section").all():
        name = link(page, section)
        section.scroll_into_view_if_needed()
        if name in OPENING:
            section.get_by_role("button", name=OPENING[name]).first.click()
        page.mouse.move(0, 0)
        box = section.bounding_box()
        head = section.locator("h2").first.bounding_box()["y"] - box["y"]
        top = box["y"] + head + page.evaluate("scrollY")
        clip = {
            "x": box["x"] - MARGIN,
            "y": top - MARGIN,
            "width": box["width"] + 2 * MARGIN,
            "height": min(box["height"] - head + 2 * MARGIN, TALLEST),
        }
        save(page.screenshot(full_page=True, clip=clip), f"{name}-{scheme}")


def take_lesson(page: Any, address: str, scheme: str) -> None:
    """Take what is seen of the lesson at some of its places in one theme."""
    page.goto(address)
    page.wait_for_selector("section")
    save(page.screenshot(), f"lesson-{scheme}")
    for name, (place, pressed) in LESSON.items():
        page.evaluate("place => { location.hash = place; }", place)
        page.wait_for_timeout(400)
        if "Check" in pressed:
            page.locator(".question:visible").first.get_by_role("radio").nth(1).check()
        for words in pressed:
            page.get_by_role("button", name=words, exact=True).locator("visible=true").first.click()
        page.wait_for_timeout(400)
        save(page.screenshot(), f"{name}-{scheme}")


def link(page: Any, section: Any) -> str:
    """Return the permanent id of a section, from the navigation's link to it."""
    title = section.locator("h2").first.inner_text()
    address = page.get_by_role("link", name=title, exact=False).first.get_attribute("href")
    return str(address).removeprefix("#").split("/")[0]


def main() -> None:
    """Write the pictures: the top of the page, and every section in both themes."""
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        address = record(Path(name) / "run").as_uri()
        lesson = teach(Path(name)).as_uri()
        checked = check(Path(name) / "check").as_uri()
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1100, "height": 900}, color_scheme=scheme,
                reduced_motion="reduce",
            )  # fmt: skip
            page.goto(address)
            page.wait_for_selector("section")
            take(page, scheme)
            take_lesson(page, lesson, scheme)
            page.goto(f"{checked}#findings")
            page.wait_for_selector("section")
            page.wait_for_timeout(300)
            save(page.locator("section").first.screenshot(), f"findings-{scheme}")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
