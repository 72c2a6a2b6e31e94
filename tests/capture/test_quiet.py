"""What is played again is not heard, and nothing of the silence is left."""

from __future__ import annotations

import logging
import sys
import threading
import warnings

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.capture import quiet


class Loud(nn.Module):
    def forward(self, x):
        print("printed")
        print("complained", file=sys.stderr)
        logging.getLogger("loud").error("logged")
        warnings.warn("warned", stacklevel=1)
        return x + 1


def test_what_a_forward_says_is_said_once(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    with pytest.warns(UserWarning, match="warned") as told:
        pt.trace(Loud(), torch.ones(2))
    out, err = capfd.readouterr()
    assert out == "printed\n"
    assert err.count("complained") == 1
    assert [record.message for record in caplog.records] == ["logged"]
    assert len(told) == 1


def test_what_was_warned_of_once_is_not_warned_of_again():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("mine", stacklevel=1)
            pt.trace(nn.ReLU(), torch.ones(2))
    assert [str(one.message) for one in told] == ["mine"]


def test_threads_that_play_at_the_same_time_leave_nothing():
    def state():
        return (sys.stdout, sys.stderr, list(warnings.filters), logging.Logger.handle,
                torch.backends.mha.get_fastpath_enabled())  # fmt: skip

    before = state()
    began, ended = threading.Event(), threading.Event()

    def first():
        with quiet.unheard(), quiet.unfused():
            began.set()
            assert ended.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(60)
    other = threading.Event()

    def second():
        with quiet.unheard(), quiet.unfused():
            ended.set()
            assert other.wait(60)

    overlapping = threading.Thread(target=second)
    overlapping.start()
    thread.join()
    other.set()
    overlapping.join()
    assert state() == before


def test_other_threads_are_heard(capfd: pytest.CaptureFixture[str]):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with quiet.unheard():
            thread = threading.Thread(target=Loud(), args=(torch.ones(2),))
            thread.start()
            thread.join()
            Loud()(torch.ones(2))
    assert capfd.readouterr().out == "printed\n"
    assert len(told) == 1
