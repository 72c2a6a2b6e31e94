"""A run file of a million steps, and one whose writer is killed."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import measure
from pipetrace import naming, tracefile
from pipetrace.blocks import Crash
from pipetrace.parts import Score
from pipetrace.records import Ended, Epoch, Evaluation, Model, Probe, Provenance, Training
from pipetrace.story.page import page
from pipetrace.tracefile import Recording, Writer
from pipetrace.views.html import document

EPOCHS, STEPS = 1000, 1000

LOOP = """
import time

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(1000, 20)
y = x[:, :3].argmax(1)
model = nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))
optimizer = torch.optim.Adam(model.parameters())
while True:
    model.train()
    for inputs, targets in DataLoader(TensorDataset(x, y), 32, shuffle=True):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        print(time.monotonic(), flush=True)
    model.eval()
    with torch.no_grad():
        functional.cross_entropy(model(x), y)
"""
"""Trains until it is killed, and prints when each step was done."""


def write(path: Path) -> None:
    """Write the run file of a training of a thousand epochs of a thousand steps."""
    writer = Writer(path)
    writer.append(Provenance(name="long", origin="script", versions={"torch": "2"}))
    writer.append(Model(id=0, type="Sequential", parameters=243, trainable=243, device="cpu"))
    writer.append(Training(id=0, model=0, optimizer="Adam", loss="cross_entropy", task="classes"))
    noise = random.Random(0)
    for index in range(1, EPOCHS + 1):
        level = 0.3 + 0.8 * math.exp(-index / 100)
        writer.scalars("loss/0", [level + noise.gauss(0, 0.1) for _ in range(STEPS)])
        writer.scalars("rate/0", [1e-3] * STEPS)
        score = Score(rows=32 * STEPS, loss=level, accuracy=1 - level / 2)
        held = Score(rows=500, loss=level + 0.05, accuracy=0.97 - level / 2)
        writer.append(
            Epoch(training=0, index=index, rule="one pass over the data loader", steps=STEPS,
                  score=score, rates=(1e-3,), seconds=1.0, gradient_norm=level, mode=True)
        )  # fmt: skip
        writer.append(
            Probe(training=0, epoch=index, masks=4, on=score, off=held, on_low=level - 0.01,
                  on_high=level + 0.01)
        )  # fmt: skip
        writer.append(
            Evaluation(training=0, epoch=index, index=index, score=held, forwards=16, mode=False,
                       loss_by="loop", seen=0.0, step=index * STEPS)
        )  # fmt: skip
    writer.append(Ended(status="finished", seconds=1000.0))
    writer.close()


def opening(path: Path) -> float:
    """Return how many milliseconds reading the file takes."""
    start = time.perf_counter()
    tracefile.load(path)
    return 1000 * (time.perf_counter() - start)


def telling(path: Path) -> float:
    """Return how many seconds it takes from the file to the HTML page."""
    start = time.perf_counter()
    document(page(tracefile.load(path)))
    return time.perf_counter() - start


def showing(path: Path) -> float:
    """Return how many seconds `pipetrace show` takes as a whole process."""
    return measure.wall([sys.executable, "-m", "pipetrace", "show", str(path)])


class Killed(NamedTuple):
    """What was left of a training that was killed."""

    lost: float
    """Seconds from the last step in the file to the last step that was printed."""
    steps: int
    kept: int
    whole: bool
    """The file opens, and no section of its page has crashed."""


def kill(after: float) -> Killed:
    """Train under `pipetrace run` in another process, and kill it.

    Args:
        after: Seconds from its first step to the kill.

    Raises:
        RuntimeError: the training ended by itself.
    """
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "loop.py"
        script.write_text(textwrap.dedent(LOOP), encoding="utf-8")
        command = [sys.executable, "-m", "pipetrace", "run", "--quiet", "--out", name, str(script)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env=measure.single_threaded()
        ) as training:
            assert training.stdout is not None
            times = [float(training.stdout.readline() or "nan")]
            if math.isnan(times[0]):
                raise RuntimeError("the training that was to be killed did not begin")
            until = time.monotonic() + after
            while time.monotonic() < until:
                times.append(float(training.stdout.readline()))
            os.kill(training.pid, signal.SIGKILL)
            times += [float(line) for line in training.stdout if line.endswith(b"\n")]
        recording = tracefile.load(naming.newest(Path(name)))
        kept = len(recording.series.get("loss/0", ()))
        start = times[kept - 1] if kept else times[0]
        return Killed(times[-1] - start, len(times), kept, _whole(recording))


def _whole(recording: Recording) -> bool:
    told = page(recording)
    crashed = any(isinstance(block, Crash) for each in told.sections for block in each.blocks)
    return not crashed and document(told).startswith("<!")
