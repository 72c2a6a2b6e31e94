"""A recorded script prints, leaves and returns what it does alone, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipetrace import naming, tracefile
from pipetrace.records import Ended

FOLDER = Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "digest")
SILENT = {"raises"}
"""Scripts that end before they print a digest."""


def finished(command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_recorded_script_does_what_it_does_alone(name: str, tmp_path: Path):
    script, runs = str(FOLDER / f"{name}.py"), tmp_path / "runs"
    alone = finished([sys.executable, script], tmp_path)
    recorded = finished(
        [sys.executable, "-m", "pipetrace", "run", "--quiet", "--out", str(runs), script], tmp_path
    )
    assert recorded.returncode == alone.returncode, recorded.stderr.decode()
    assert recorded.stdout == alone.stdout
    assert alone.stderr in recorded.stderr
    last = alone.stdout.decode().splitlines()[-1]
    assert last.startswith("digest ") or name in SILENT
    ended = tracefile.load(naming.newest(runs)).last(Ended)
    assert ended is not None
    assert ended.code == alone.returncode
