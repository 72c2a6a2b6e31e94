"""The time of an epoch is that of its training: what happens between is not counted."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Epoch
from pipetrace.training.clock import Clock, memory


def test_only_segments_of_training_are_added_up(monkeypatch: pytest.MonkeyPatch):
    now = iter([0.0, 10.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock()
    clock.last = 3.0
    clock.leave(0.5)
    clock.resume(2.0)
    clock.last = 14.0
    # 3 s until the pause, half a second of them ours; 10 s is when training went on.
    assert clock.close(2.0) == pytest.approx(2.5 + 4.0)
    clock.opened = 15.0
    clock.resume(3.0)
    clock.last = 16.0
    assert clock.close(3.0) == pytest.approx(1.0)


@pytest.mark.parametrize("bare", [False, True])
def test_evaluations_are_not_counted_as_training(task: Any, bare: bool):
    batches = list(task.loader) if bare else task.loader
    pause, inside = 0.25, 0.0
    with pipetrace.record() as run:
        for _ in range(3):
            started = time.perf_counter()
            task.model.train()
            for x, y in batches:
                task.optimizer.zero_grad()
                F.cross_entropy(task.model(x), y).backward()
                task.optimizer.step()
                time.sleep(0.005)
            inside = time.perf_counter() - started
            task.model.eval()
            with torch.no_grad():
                for x, y in task.loader:
                    F.cross_entropy(task.model(x + 100), y)
            time.sleep(pause)
    seconds = [epoch.seconds for epoch in run.recording.all(Epoch)]
    assert len(seconds) == 3
    assert 0 < seconds[-1] <= inside
    # The script stood still for 0.25 s after each epoch.
    assert max(seconds[1:]) < pause


def test_decays_are_those_of_all_groups(task: Any):
    groups = [
        {"params": task.model[0].parameters(), "weight_decay": 0.1},
        {"params": task.model[3].parameters()},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.0)
    with pipetrace.record() as run:
        for x, y in task.loader:
            optimizer.zero_grad()
            F.cross_entropy(task.model(x), y).backward()
            optimizer.step()
    epoch = run.recording.all(Epoch)[-1]
    assert epoch.decays == (0.1, 0.0)
    assert epoch.memory_kind
    assert epoch.memory


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell the peak only")
def test_memory_follows_what_the_process_holds():
    before, kind = memory()
    held = torch.ones(16_000_000)
    after, _ = memory()
    assert kind == ("accelerator" if torch.cuda.is_initialized() else "resident")
    assert before is not None
    assert after is not None
    assert after - before > 0.5 * held.numel() * 4
