"""Weights and whole rows of a small model are those of its captured forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Mask, Op, Weights, WholeRow
from pipetrace.summarise import EXACT, ROW


def recorded(model: nn.Module, *shape: int, **options: Any) -> Any:
    torch.manual_seed(0)
    x, y = torch.randn(12, *(shape or (4,))), torch.randint(2, (12,))
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
    recording = recorded(model)
    assert recording.all(Op)
    assert recording.all(Weights) == recording.all(WholeRow) == []


def test_without_values_no_weight_and_no_row_is_in_the_file():
    recording = recorded(nn.Sequential(nn.Linear(40, 50), nn.Linear(50, 2)), 40, values=False)
    assert recording.all(Op)
    assert recording.all(Weights) == recording.all(WholeRow) == []


def test_rows_of_up_to_32_values_are_in_the_tensors_records_alone():
    assert recorded(nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 2)), 32).all(WholeRow) == []


def test_wide_rows_are_whole_and_multiply_out():
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(40, 64), nn.ReLU(inplace=True), nn.Dropout(0.4), nn.Linear(64, 2)
    )
    recording = recorded(model, 5, 8)
    held = {item.path: item for item in recording.all(Weights)}
    rows = {item.op: item for item in recording.all(WholeRow)}
    assert [(op, len(row.values)) for op, row in rows.items()] == [
        (-1, 40), (1, 64), (2, 64), (3, 64),
    ]  # fmt: skip
    ops = [op for op in recording.all(Op) if op.capture == 0]
    for op, row in rows.items():
        shown = ops[op].outputs[0] if op >= 0 else ops[0].outputs[0]
        assert row.values[:ROW] == shown.row

    def product(path: str, given: tuple[float, ...]) -> list[float]:
        matrix = torch.tensor(held[f"{path}.weight"].values, dtype=torch.float64)
        made = matrix.reshape(held[f"{path}.weight"].shape) @ torch.tensor(given).double()
        return (made + torch.tensor(held[f"{path}.bias"].values).double()).tolist()

    assert product("1", rows[-1].values) == pytest.approx(rows[1].values, abs=1e-5)
    assert rows[2].values == tuple(max(value, 0.0) for value in rows[1].values)
    assert product("4", rows[3].values) == pytest.approx(ops[4].outputs[0].row, abs=1e-5)


@pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout])
def test_flags_of_a_wide_row_tell_dropped_from_zero(kind: type[nn.Module]):
    torch.manual_seed(1)
    recording = recorded(nn.Sequential(nn.Linear(4, 90), nn.ReLU(), kind(0.5), nn.Linear(90, 2)))
    rows = {item.op: item for item in recording.all(WholeRow)}
    (mask,) = (op.mask for op in recording.all(Op) if op.capture == 0 and op.mask)
    assert isinstance(mask, Mask)
    before, after, kept = rows[1].values, rows[2].values, rows[2].kept
    assert len(kept) == 90
    assert kept[:ROW] == mask.row
    assert rows[1].kept == ()
    if kind is nn.AlphaDropout:
        assert len({after[at] for at in range(90) if not kept[at]}) == 1
        return
    for x, y, stays in zip(before, after, kept, strict=True):
        assert y == pytest.approx(2 * x if stays else 0.0)
    assert any(stays and y == 0 for y, stays in zip(after, kept, strict=True))


def test_of_a_batch_that_is_sampled_only_the_input_is_whole():
    torch.manual_seed(1)
    rows = EXACT // 40 + 1
    model, optimizer = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 2)), torch.optim.SGD
    steps = optimizer(model.parameters(), lr=0.1)
    x, y = torch.randn(rows, 40), torch.randint(2, (rows,))
    with pipetrace.record() as run:
        for _ in range(2):
            steps.zero_grad()
            F.cross_entropy(model(x), y).backward()
            steps.step()
    (only,) = run.recording.all(WholeRow)
    assert only.op == -1
    assert only.values == tuple(x[0].double().tolist())
