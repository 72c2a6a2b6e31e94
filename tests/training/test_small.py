"""Weights of a small model are those that its captured forward was computed with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Op, Weights


def recorded(model: nn.Module, **options: Any) -> Any:
    torch.manual_seed(0)
    x, y = torch.randn(12, 4), torch.randint(2, (12,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pipetrace.record(**options) as run:
        for rows in torch.arange(12).split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]).flatten(1), y[rows]).backward()
            optimizer.step()
    return run.recording


def test_weights_times_the_recorded_row_are_the_recorded_output():
    torch.manual_seed(1)
    recording = recorded(
        nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    )
    held = {item.path: item for item in recording.all(Weights)}
    assert [(path, item.shape) for path, item in held.items()] == [
        ("1.weight", (5, 4)), ("1.bias", (5,)), ("3.weight", (2, 5)), ("3.bias", (2,)),
    ]  # fmt: skip
    ops = [op for op in recording.all(Op) if op.capture == 0]
    for before, op in ((ops[0], ops[1]), (ops[2], ops[3])):
        weight, bias = (held[link.name] for link in op.inputs[1:])
        matrix = torch.tensor(weight.values, dtype=torch.float64).reshape(weight.shape)
        row = torch.tensor(before.outputs[0].row, dtype=torch.float64)
        given = matrix @ row + torch.tensor(bias.values, dtype=torch.float64)
        assert given.tolist() == pytest.approx(list(op.outputs[0].row), abs=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 200), nn.ReLU(), nn.Linear(200, 200), nn.Linear(200, 2)),
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    ],
    ids=["large", "convolution", "normalised"],
)
def test_other_models_have_no_weights_in_the_file(model: nn.Module):
    assert recorded(model).all(Weights) == []


def test_without_values_no_weight_is_in_the_file():
    assert recorded(nn.Linear(4, 2), values=False).all(Weights) == []
