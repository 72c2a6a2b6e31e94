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
    """Write one picture of the top of the page per colour scheme."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        page_file = record(Path(name))
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1100, "height": 800}, color_scheme=scheme, device_scale_factor=1
            )
            page.goto(page_file.as_uri())
            page.wait_for_selector("section")
            page.screenshot(path=PICTURES / f"page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
