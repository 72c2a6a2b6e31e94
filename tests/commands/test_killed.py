"""A run that is killed loses at most its last second, whatever it was doing then."""

from __future__ import annotations

import itertools
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pipetrace.records import Ended, Epoch, Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Folder

WITHIN = """
import sys, time

model.train()
def many(count, pause):
    for number in range(count):
        step(slice(number % 3 * 8, number % 3 * 8 + 8))
        print(time.monotonic(), flush=True)
        time.sleep(pause)
"""
SLOW = WITHIN + "many(10_000, 0.03)"
EVALUATING = (
    WITHIN
    + """
many(30, 0.005)
model.eval()
for number in range(10_000):
    with torch.no_grad():
        F.cross_entropy(model(x), y)
    time.sleep(0.03)
"""
)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_slow_steps_are_in_the_file_after_a_second(
    how: signal.Signals, trained: Callable[[str], Folder]
):
    """What the script printed more than a second before its last word is there."""
    folder = trained(SLOW)
    with folder.start("-m", "pipetrace", "run", "--quiet", "train.py") as process:
        assert process.stdout is not None
        times = [float(process.stdout.readline()) for _ in range(80)]
        process.send_signal(how)
        out, _ = process.communicate(timeout=60)
        times += [float(line) for line in out.split()]
    assert process.returncode == -how
    recording = folder.newest()
    losses = recording.series["loss/0"]
    assert recording.last(Ended) is None
    # A step and a flush may come right after the second is over.
    longest = max(after - before for before, after in itertools.pairwise(times))
    due = sum(moment < times[-1] - 1 - 2 * longest for moment in times)
    assert 20 < due <= len(losses) <= len(times)
    assert len(recording.series["rate/0"]) == len(losses)
    shown = folder.pipetrace("show")
    assert (shown.code, shown.err) == (0, "")
    assert f"cut off after {len(losses)} optimizer steps" in " ".join(shown.out.split())


def test_steps_before_a_long_evaluation_are_not_held_back(trained: Callable[[str], Folder]):
    folder = trained(EVALUATING)
    with folder.start("-m", "pipetrace", "run", "--quiet", "train.py") as process:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        time.sleep(1.5)
        process.kill()
        process.communicate(timeout=60)
    recording = folder.newest()
    assert len(recording.series["loss/0"]) == 30
    assert not recording.all(Epoch) or recording.all(Epoch)[0].steps <= 30
    assert not recording.all(Evaluation)
