"""Programs that nobody complains of are checked without a word, and end as they end alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from watching import script

import pipetrace as pt
from pipetrace.examples import dropout
from zoo import catalogue

FOLDER = Path(__file__).parents[1] / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "digest")
CONFIRMED: dict[str, set[str]] = {
    # A functional dropout that is told p and nothing else.
    "every-dropout": {"PTR101"},
}
"""What is found that is a bug indeed, by script or model: looked at by hand, one by one."""

pytestmark = pytest.mark.filterwarnings("ignore")


def finished(command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_left_in_peace(name: str, tmp_path: Path):
    """It prints the same bytes as under plain Python: its digest is of weights and all else."""
    path, report = str(FOLDER / f"{name}.py"), tmp_path / "report.json"
    alone = finished([sys.executable, path], tmp_path)
    command = ["check", "--quiet", "--format", "json", "--output", str(report), "--out", "runs"]
    checked = finished([sys.executable, "-m", "pipetrace", *command, path], tmp_path)
    assert checked.stdout == alone.stdout
    assert alone.stderr in checked.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    grave = {each["id"] for each in told["findings"] if each["severity"] in ("error", "warning")}
    assert grave == CONFIRMED.get(name, set()), told["findings"]
    complete = alone.returncode == 0 and name != "no_model"
    assert told["complete"] is complete, told["reasons"]
    assert checked.returncode == (int(bool(grave)) if complete else 2), checked.stderr.decode()


@pytest.mark.parametrize("name", catalogue.HANDMADE)
def test_a_small_model_is_left_in_peace(name: str):
    torch.manual_seed(0)
    architecture = catalogue.find(name)
    model = architecture.build()
    args, kwargs = architecture.inputs(model)
    assert not kwargs
    found = pt.check(model, tuple(args))
    assert {each.id for each in found if each.grave} == CONFIRMED.get(name, set()), found


def test_the_built_in_example_is_left_in_peace():
    assert [each for each in script(Path(dropout.__file__)) if each.grave] == []
