"""A learner's file in a folder of the test, and processes that write to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetrace.learner.log import Log


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("PIPETRACE_DATA", str(tmp_path / "data"))
    return Log()
