"""A small network is drawn whatever its width, and one that is not drawn says why."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.blocks import Graph, Network
from pipetrace.records import Weights, WholeRow
from pipetrace.story.network import network
from pipetrace.tracefile import Recording


def recorded(model: nn.Module, *shape: int, rows: int = 8, **options: Any) -> Recording:
    torch.manual_seed(3)
    x, y = torch.randn(rows, *shape), torch.randint(2, (rows,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record(**options) as run:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return run.recording


def drawn(recording: Recording) -> Network:
    content = network(recording)
    assert content is not None
    assert isinstance(content.blocks[0], Network)
    return content.blocks[0]


def reason(recording: Recording) -> str:
    content = network(recording)
    assert content is not None
    (block,) = content.blocks
    assert isinstance(block, Graph)
    return block.note.partition(" Not drawn unit by unit: ")[2]


def test_a_wide_network_of_images_is_drawn_with_all_its_dropped_units():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Dropout(0.3), nn.Linear(100, 10)
    )
    # Of a view of more than 4,096 values no values are kept.
    recording = recorded(model, 1, 8, 8, rows=100)
    found = drawn(recording)
    assert [len(column.values) for column in found.columns] == [64, 100, 100, 100, 10]
    rows = {item.op: item for item in recording.all(WholeRow)}
    assert found.columns[0].values == pytest.approx(rows[-1].values)
    assert found.columns[3].struck == tuple(not flag for flag in rows[3].kept)
    assert sum(found.columns[3].struck) > sum(found.columns[3].struck[:32]) > 0
    assert f"{sum(found.columns[3].struck)} units dropped in this row" in found.note
    assert [len(wires.weights) for wires in found.wires] == [100, 0, 0, 10]


def test_weights_have_four_digits():
    recording = recorded(nn.Linear(4, 2), 4)
    (held, _) = recording.all(Weights)
    (wires,) = drawn(recording).wires
    flat = [weight for row in wires.weights for weight in row]
    assert flat == [float(f"{value:.4g}") for value in held.values]
    assert flat != list(held.values)


def test_a_column_of_one_unit_may_lose_its_dimension():
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).squeeze(1)

    model, x = Squeezed(), torch.randn(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            F.mse_loss(model(x), x[:, 0]).backward()
            optimizer.step()
    assert [len(column.values) for column in drawn(run.recording).columns] == [4, 1]


class Residual(nn.Module):
    """Adds what it was given to what it made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + self.layer(x))


class Mixing(nn.Module):
    """Puts a softmax between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).softmax(1))


class Tokens(nn.Module):
    """Applies one layer to each of three parts of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).mean(1)


@pytest.mark.parametrize(
    ("model", "shape", "why"),
    [
        (Residual(), (4,), "add takes 2 tensors, where a layer of a chain takes one."),
        (Mixing(), (4,),
         "softmax is neither a linear layer nor a function of each unit alone."),
        (Tokens(), (3, 4), "Linear is applied to parts of a row, one after the other."),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), (4,),
         "not only linear layers have parameters, but LayerNorm too."),
        (nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten()), (1, 4), "it has no linear layer."),
        (nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 2)), (40,),
         "of Linear not every value of the row was kept; the whole batch has 80,000 values."),
        (nn.Sequential(nn.Linear(140, 150), nn.Linear(150, 2)), (140,),
         "it has 21,452 parameters, and weights of 20,000 are kept."),
    ],
    ids=["branch", "softmax", "parts", "normalised", "convolution", "batch", "parameters"],
)  # fmt: skip
def test_a_small_model_that_is_not_drawn_says_why(model: nn.Module, shape: Any, why: str):
    assert reason(recorded(model, *shape, rows=2000 if shape == (40,) else 8)) == why


def test_a_model_without_values_or_without_a_training_says_so():
    model = nn.Linear(4, 2)
    assert reason(recorded(model, 4, values=False)) == "values were left out, as asked."
    traced = pipetrace.trace(model, torch.randn(8, 4)).recording
    assert reason(traced) == "weights are kept where a training is recorded."


def test_a_model_of_more_units_says_nothing():
    assert reason(recorded(nn.Sequential(nn.Linear(4, 400), nn.Linear(400, 2)), 4)) == ""
    wide = nn.Sequential(nn.Linear(4, 290), nn.Linear(290, 2), nn.Linear(2, 10))
    assert reason(recorded(wide, 4)) == ""
