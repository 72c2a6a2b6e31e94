"""What is drawn in eval mode, by whichever stream, is found by playing a forward twice."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.session import Session
from pipetrace.tried import Asleep, Repeats, Stranger

X = torch.randn(6, 4)


class Net(nn.Module):
    def __init__(self, forward) -> None:
        super().__init__()
        self.layer, self.way = nn.Linear(4, 4), forward

    def forward(self, x):
        return self.way(self, x)


def tried(model, kind, x=X, learn=False):
    session = Session("program", "python", checking=True, lean=True)
    session.begin()
    try:
        output = model(x)
        if learn:
            output.sum().backward()
    finally:
        session.end()
    return session.close().all(kind)


@pytest.mark.parametrize(
    ("stream", "factor"),
    [("torch", lambda: torch.rand(1)), ("python", random.random), ("numpy", np.random.rand)],
    ids=["torch", "python", "numpy"],
)
def test_every_stream_is_turned(stream, factor):
    (found,) = tried(Net(lambda net, x: net.layer(x) * float(factor())).eval(), Repeats)
    assert (found.streams, found.equal, found.steady) == ((stream,), False, True)
    assert found.largest is not None
    assert found.largest > 0


def test_what_changes_no_output_is_equal():
    (found,) = tried(Net(lambda net, x: net.layer(x) + 0 * float(random.random())).eval(), Repeats)
    assert (found.equal, found.largest) == (True, None)


def test_nothing_is_told_of_a_forward_that_draws_nothing():
    assert tried(nn.Sequential(nn.Linear(4, 4), nn.Dropout()), Repeats) == []


def test_layers_that_ran_from_one_state_only():
    def way(net, x):
        for layer in net.layers:
            x = layer(x) if random.random() < 0.5 else x
        return x

    net = Net(way)
    net.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(8)])
    (found,) = tried(net.eval(), Repeats)
    assert found.left_out
    assert set(found.left_out) <= {f"layers.{place}" for place in range(8)}


def test_rows_that_are_repeated():
    (found,) = tried(Net(lambda net, x: F.dropout(x)).eval(), Repeats, X.repeat(3, 1))
    assert (found.rows, found.distinct) == (18, 6)


def test_what_draws_in_eval_mode_is_told_apart_from_what_was_left_in_train_mode():
    net = Net(lambda net, x: F.dropout(net.drop(net.layer(x)), 0.1))
    net.drop = nn.Dropout(0.2)
    net.eval()
    net.drop.train()
    (found,) = tried(net, Repeats)
    assert found.drawing == (2,)


def test_a_stranger_that_is_kept_and_one_that_is_made_anew():
    drops = [nn.Dropout()]
    net = Net(lambda net, x: nn.Dropout()(drops[0](x)))
    kept, made = tried(net, Stranger)
    assert (kept.path, kept.anew, kept.training) == ("way.drops[0]", False, True)
    assert (made.path, made.anew) == ("(not registered) Dropout", True)


def test_what_a_training_forward_in_eval_mode_would_drop():
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3)).eval()
    (found,) = tried(net, Asleep, learn=True)
    assert [(each.function, each.module, each.p) for each in found.idle] == [("dropout", "1", 0.3)]
    assert tried(net.train(), Asleep, learn=True) == []
    assert tried(net.eval(), Asleep) == []
