"""What every test may ask for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


TRAINING = """
import torch

model = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
while True:
    torch.nn.functional.cross_entropy(model(torch.ones(8, 4)), torch.ones(8).long()).backward()
    optimizer.step()
    print("step", flush=True)
"""


@pytest.fixture(autouse=True)
def own_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test answers out of the file of whoever runs the tests."""
    monkeypatch.setenv("PIPETRACE_DATA", str(tmp_path / "learner"))


@pytest.fixture(scope="session")
def interrupted() -> int:
    """Return how plain Python ends when Ctrl-C is pressed while a model is trained.

    By the signal, unless a library that PyTorch found installed runs code at exit: then with 1.
    """
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 1)
    return process.returncode


@pytest.fixture(scope="session")
def press_ctrl_c() -> Callable[[subprocess.Popen[bytes]], None]:
    """Return what presses Ctrl-C until a process ends: on a busy machine one was lost once."""

    def press(process: subprocess.Popen[bytes]) -> None:
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
                return

    return press


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium; without one the test is skipped, under CI it fails."""
    names = (os.environ.get("CHROMIUM", ""), *NAMES)
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    if path is None:
        reason = "there is no Chromium here: `make test BROWSER=install`, or name one in CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """Open a Chromium that reaches no network."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()
