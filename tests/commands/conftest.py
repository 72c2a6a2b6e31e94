"""A folder to run commands in, alone and under pipetrace, as a person would from a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipetrace import tracefile
from pipetrace.tracefile import Recording

TRAINING = """
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
torch.manual_seed(5)
x = torch.randn(24, 4)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def step(batch=slice(0, 8)):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x[batch]), y[batch])
    loss.backward()
    optimizer.step()
    return loss.item()


def epoch():
    return [step(slice(i, i + 8)) for i in range(0, 24, 8)]
"""
"""A module to import: what a training loop needs, and no loop."""


class Finished(NamedTuple):
    """How a process ended, and what it printed."""

    code: int
    out: str
    err: str


class Folder:
    """A folder with files in it, where processes are started."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, files: dict[str, str]) -> None:
        """Write files, each a text by its path."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start Python with these arguments; a variable that is None is left out."""
        settings = {"OMP_NUM_THREADS": "1", "COLUMNS": "100", **options.pop("variables", {})}
        environment = {k: v for k, v in {**os.environ, **settings}.items() if v is not None}
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self.path, env=environment, **(pipes | options)
        )

    def python(self, *arguments: str, stdin: str = "", **options: Any) -> Finished:
        """Run Python with these arguments to its end."""
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(stdin.encode(), timeout=120)
        return Finished(process.returncode, (out or b"").decode(), (err or b"").decode())

    def pipetrace(self, *arguments: str, **options: Any) -> Finished:
        """Run a command of pipetrace to its end."""
        return self.python("-m", "pipetrace", *arguments, **options)

    def same(self, *arguments: str, **options: Any) -> Finished:
        """Run Python alone and under pipetrace; both must say and return the same."""
        alone = self.python(*arguments, **options)
        recorded = self.pipetrace("run", "--quiet", *arguments, **options)
        assert recorded == alone
        return alone

    def runs(self) -> list[Path]:
        """Return the run files that were made here, the oldest first."""
        found = (self.path / "pipetrace-runs").glob("*.pipetrace")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def newest(self) -> Recording:
        """Read the newest run."""
        return tracefile.load(self.runs()[-1])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def trained(folder: Folder) -> Callable[[str], Folder]:
    """Return what writes `train.py` into the folder: what a loop needs, then the given text."""

    def write(text: str) -> Folder:
        script = "from setting import *\n" + textwrap.dedent(text)
        folder.write({"setting.py": TRAINING, "train.py": script})
        return folder

    return write
