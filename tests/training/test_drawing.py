"""At the end of a run the dropout layers of the trained model drop for the sample's row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Capture, Draws, InputImage, InputTokens, Notice, Prediction
from pipetrace.training import drawing


def train(task: Any, model: nn.Module | None = None, **options: Any) -> pipetrace.Run:
    model = model or task.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record(**options) as run:
        for x, y in task.loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()
            F.cross_entropy(model(task.x[:5]), task.y[:5])
    return run


def test_draws_are_of_the_predicted_sample_and_the_last_weights(task: Any):
    run = train(task, sample=3)
    prediction = run.recording.last(Prediction)
    (found,) = run.recording.all(Draws)
    assert prediction is not None
    assert (found.capture, found.p, found.op) == (prediction.capture, 0.5, 2)
    with torch.no_grad():
        entered = task.model[:2](task.x[3:4])
        assert found.values == pytest.approx(entered[0].tolist(), abs=1e-6)
    # What takes the layer's output next gives the model's output: it is told once.
    assert [each.name for each in found.outputs] == ["output", "probabilities"]


def test_probabilities_are_read_as_the_loss_reads_them(task: Any):
    run = train(task)
    prediction = run.recording.last(Prediction)
    (found,) = run.recording.all(Draws)
    told = {each.name: each for each in found.outputs}
    assert {len(draws) for each in found.outputs for draws in each.draws} == {32}
    assert prediction is not None
    assert told["probabilities"].off == pytest.approx(prediction.probabilities, abs=1e-5)
    for logits, shares in zip(told["output"].draws[5], told["probabilities"].draws[5], strict=True):
        assert shares == pytest.approx(torch.tensor(logits).softmax(0).tolist(), abs=1e-5)


def test_probabilities_stand_for_the_output_where_the_next_layer_does_not_give_it(task: Any):
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    (found,) = train(task, model).recording.all(Draws)
    assert [each.name for each in found.outputs] == ["1", "probabilities"]


def test_only_the_first_layers_are_looked_at(task: Any):
    model = nn.Sequential(nn.Linear(4, 2), *(nn.Dropout(0.1) for _ in range(6)))
    assert [found.op for found in train(task, model).recording.all(Draws)] == [1, 2, 3, 4]


def test_without_values_there_are_none(task: Any):
    run = train(task, values=False)
    assert run.recording.all(Draws) == run.recording.all(InputImage) == []
    assert run.actions == {}


def test_a_model_that_takes_too_long_is_left_alone(task: Any, monkeypatch: pytest.MonkeyPatch):
    for cost in ("_CALL", "_NUMBER", "_DRAWN"):
        monkeypatch.setattr(drawing, cost, 0)
    monkeypatch.setattr(drawing, "_WORK", 100_000)
    (found,) = train(task).recording.all(Draws)
    assert [len(masks) for masks in found.masks] == [32] * 10
    monkeypatch.setattr(drawing, "_WORK", 20_000)
    (found,) = train(task).recording.all(Draws)
    assert [len(masks) for masks in found.masks] == [8] * 10
    monkeypatch.setattr(drawing, "_WORK", 1000)
    run = train(task)
    assert run.recording.all(Draws) == []
    assert [notice.id for notice in run.recording.all(Notice)] == ["draws"]


def test_inputs_of_each_captured_forward_are_shown():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    x, y = torch.rand(12, 1, 8, 8), torch.randint(0, 2, (12,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for rows in torch.arange(8).split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()
            model(x[8:])
    captures = {capture.id: capture.purpose for capture in run.recording.all(Capture)}
    shown = [captures[image.capture] for image in run.recording.all(InputImage)]
    # The last ones are of the ranked rows.
    assert shown[:3] == ["training", "evaluation", "prediction"]
    chosen = run.recording.all(InputImage)[2]
    assert (chosen.low, chosen.high) == (x[8].min().item(), x[8].max().item())


def test_ids_are_told_at_the_end():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    x, y = torch.randint(0, 9, (8, 3)), torch.randint(0, 2, (8,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for rows in torch.arange(8).split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    found = run.recording.all(InputTokens)
    assert [tokens.ids for tokens in found[:2]] == [tuple(x[0].tolist())] * 2


def test_a_sequence_model_is_drawn_for_one_row():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Dropout(0.2), nn.Linear(4, 9))
    x, y = torch.randint(0, 9, (8, 3)), torch.randint(0, 9, (8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for rows in torch.arange(8).split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]).flatten(0, 1), y[rows].flatten()).backward()
            optimizer.step()
    (found,) = run.recording.all(Draws)
    assert (found.count, len(found.masks[0])) == (12, 32)
    with torch.no_grad():
        assert found.values == pytest.approx(model[0](x[0]).flatten().tolist(), abs=1e-6)


def test_a_large_row_is_not_copied_though_its_ops_have_no_flops():
    torch.manual_seed(0)
    x = torch.randn(8, 300_000)
    pooled = nn.AdaptiveAvgPool1d(8)
    large = SimpleNamespace(
        model=nn.Sequential(nn.Dropout(0.2), pooled, nn.Linear(8, 3)),
        x=x, y=torch.arange(8) % 3, loader=[(x, torch.arange(8) % 3)],
    )  # fmt: skip
    run = train(large)
    assert run.recording.last(Prediction) is not None
    assert run.recording.all(Draws) == []
    assert "too large" in next(n.text for n in run.recording.all(Notice) if n.id == "draws")
