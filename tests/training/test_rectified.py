"""Dead units are those that a plain forward shows to give 0 for every row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Layers
from pipetrace.training.rectified import Rectified


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv(x))).mean((2, 3))
        return self.out(torch.relu(self.head(x)))


def test_units_are_channels_after_a_convolution_and_features_after_a_product():
    torch.manual_seed(0)
    model = Net()
    with torch.no_grad():
        model.norm.bias[2:4] = -100
        model.head.bias[0] = -100
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, y = torch.randn(12, 1, 6, 6), torch.randint(2, (12,))
    with pipetrace.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    found = run.recording.all(Layers)[-1].activations
    assert [(u.path, u.function, u.units, u.rows) for u in found] == [
        ("", "relu", 6, 12),
        ("", "relu", 5, 12),
    ]
    model.eval()
    with torch.no_grad():
        maps = F.relu(model.norm(model.conv(x)))
        features = torch.relu(model.head(maps.mean((2, 3))))
    dead = [int((maps == 0).all(0).all(-1).all(-1).sum()), int((features == 0).all(0).sum())]
    assert [u.dead for u in found] == dead
    assert dead[0] >= 2
    assert dead[1] >= 1


@pytest.mark.parametrize(
    ("module", "dead"),
    [
        (nn.ReLU(), 1),
        (nn.ReLU(inplace=True), 1),
        (nn.ReLU6(), 1),
        (nn.Threshold(0.1, 0.0), 1),
        (nn.LeakyReLU(), None),
        (nn.GELU(), None),
    ],
)
def test_the_family_of_relu(module: nn.Module, dead: int | None):
    listening = Rectified()
    with torch.no_grad(), listening:
        module(torch.tensor([[1.0, -1.0], [2.0, -3.0]]))
    found = listening.units(["act"], 2)
    assert [u.dead for u in found] == ([] if dead is None else [dead])


def test_a_forward_that_calls_others_is_told_by_number():
    listening = Rectified()
    with listening:
        torch.relu(torch.ones(2, 3))
    assert [u.path for u in listening.units(["a", "b"], 2)] == ["call 1"]


def test_a_model_without_such_functions_is_not_listened_to(task: Any):
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for _ in range(2):
            for x, y in task.loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    assert all(not each.activations for each in run.recording.all(Layers))
