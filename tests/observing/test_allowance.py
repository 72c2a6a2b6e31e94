"""A run that was not asked to be checked is observed as far as that costs little."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.observed import Calls, Stepped
from pipetrace.observing import allowance
from pipetrace.records import Capture, Notice
from pipetrace.session import Session
from pipetrace.tried import Mixing

X, Y = torch.randn(16, 4), torch.randint(0, 2, (16,))
STEPS = 6


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def train(net: nn.Module) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(net(X), Y).backward()
        optimizer.step()


def recorded(*nets: nn.Module, frugal: bool = True):
    session = Session("test", "python", checking=True, frugal=frugal, lean=True)
    session.begin()
    try:
        for net in nets:
            train(net)
    finally:
        session.end()
    return session.close()


def test_a_small_loop_is_observed_whole():
    recording = recorded(model())
    (calls,) = recording.all(Calls)
    (stepped,) = recording.all(Stepped)
    assert (calls.count, stepped.steps) == (STEPS, STEPS)
    assert not [note for note in recording.all(Notice) if note.id == "observer-stopped"]
    assert recording.all(Mixing)


def test_more_than_is_allowed_ends_the_observing_between_two_steps(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(allowance, "SECONDS", 0.0)
    monkeypatch.setattr(allowance, "SHARE", 0.0)
    net = model()
    torch.manual_seed(0)
    recording = recorded(net)
    (calls,) = recording.all(Calls)
    (stepped,) = recording.all(Stepped)
    assert (calls.count, calls.trained, stepped.steps) == (1, 1, 1)
    (note,) = [note for note in recording.all(Notice) if note.id == "observer-stopped"]
    assert "its first 1 step" in note.text
    assert "`pipetrace check`" in note.text


def test_a_check_has_no_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowance, "SECONDS", 0.0)
    monkeypatch.setattr(allowance, "SHARE", 0.0)
    (calls,) = recorded(model(), frugal=False).all(Calls)
    assert calls.count == STEPS


def test_a_slow_forward_is_not_played_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowance, "FORWARD", 0.0)
    recording = recorded(model())
    assert recording.all(Calls)[0].capture is None
    assert recording.all(Capture) == []


def test_few_models_are_kept_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowance, "MODELS", 1)
    recording = recorded(model(), model())
    assert [calls.capture is not None for calls in recording.all(Calls)] == [True, False]


def test_trials_end_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowance, "TRIALS", -1.0)
    recording = recorded(model())
    assert recording.all(Mixing) == []
    assert recording.all(Calls)[0].capture is not None
