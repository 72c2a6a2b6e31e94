"""A recorded or checked script prints and leaves what it does alone, to the last bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from confirmed import CONFIRMED

from pipetrace import naming, tracefile
from pipetrace.records import Ended

FOLDER = Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "digest")
SILENT = {"raises"}
"""Scripts that end before they print a digest."""


def finished(command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_watched_script_does_what_it_does_alone(name: str, tmp_path: Path):
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
    _check(script, alone, CONFIRMED.get(name, set()), tmp_path)


def _check(
    script: str, alone: subprocess.CompletedProcess[bytes], confirmed: set[str], folder: Path
) -> None:  # fmt: skip
    report = folder / "report.json"
    command = ["check", "--quiet", "--format", "json", "--output", str(report), "--out", "checked"]
    checked = finished([sys.executable, "-m", "pipetrace", *command, script], folder)
    assert checked.stdout == alone.stdout
    assert alone.stderr in checked.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    grave = {each["id"] for each in told["findings"] if each["severity"] in ("error", "warning")}
    assert grave == confirmed, told["findings"]
    complete = alone.returncode == 0 and Path(script).stem != "no_model"
    assert told["complete"] is complete, told["reasons"]
    assert checked.returncode == (int(bool(grave)) if complete else 2), checked.stderr.decode()
