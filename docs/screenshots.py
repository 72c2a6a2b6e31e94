"""Renews the pictures of the documentation from a real run of the built-in example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent / "images"
SECTIONS = {"Data flow": "flow", "Training trace": "training", "Model quiz": "quiz"}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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


def main() -> None:
    """Write the pictures: the top of the page, the dropout stage, the training, a question."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        address = record(Path(name)).as_uri()
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
            page.goto(address)
            page.wait_for_selector("section")
            page.screenshot(path=PICTURES / f"page-{scheme}.png")
            if scheme == "light":
                page.get_by_role("button", name="Next").first.click()
                for title, picture in SECTIONS.items():
                    section = page.get_by_role("region", name=title)
                    section.screenshot(path=PICTURES / f"{picture}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
