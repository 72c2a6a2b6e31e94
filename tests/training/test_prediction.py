"""The prediction is the trained model's own answer for one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Capture, Contrast, Op, Prediction


@torch.no_grad()
def answer(model: nn.Module, row: torch.Tensor) -> torch.Tensor:
    return model.eval()(row)


@pytest.mark.parametrize(
    ("name", "model", "rows", "truth"),
    [
        ("plain_slices", "net", "X_test", "y_test"),
        ("kfold", "model", "x_valid", None),
        ("accelerator", "model", "held_x", "held_y"),
    ],
)
def test_probabilities_are_the_softmax_of_the_models_output(
    name: str, model: str, rows: str, truth: str | None, ran: Callable[[str], Any]
):
    run = ran(name)
    found = run.recording.last(Prediction)
    logits = answer(run.names[model], run.names[rows][:1])
    assert found.scores == pytest.approx(logits[0].tolist(), abs=1e-6)
    assert found.probabilities == pytest.approx(logits.softmax(1)[0].tolist(), abs=1e-6)
    assert found.predicted == int(logits.argmax())
    assert found.truth == (None if truth is None else run.names[truth][0].item())
    assert (found.heldout, found.passes_equal) == (True, True)


def test_one_logit_becomes_one_chance(ran: Callable[[str], Any]):
    run = ran("binary_bce")
    x, y = run.names["test_set"][0]
    found = run.recording.last(Prediction)
    chance = answer(run.names["model"], x[None]).sigmoid().item()
    assert found.probabilities == pytest.approx((chance,), abs=1e-6)
    assert (found.predicted, found.truth) == (int(chance > 0.5), y.item())


def test_a_value_is_predicted_as_it_is(ran: Callable[[str], Any]):
    run = ran("regression_mse")
    row = run.names["test"][:1]
    found = run.recording.last(Prediction)
    assert found.scores == pytest.approx(
        answer(run.names["model"], run.names["x"][row])[0].tolist()
    )
    assert found.truth == pytest.approx(run.names["y"][row].item())
    assert (found.probabilities, found.predicted) == ((), None)


@pytest.mark.parametrize("sample", [0, 3, 7])
def test_the_sample_can_be_chosen(sample: int, task: Any):
    held_out = torch.randn(9, 4)
    with pipetrace.record(sample=sample) as run:
        for _ in range(2):
            task.model.train()
            for x, y in task.loader:
                task.optimizer.zero_grad()
                F.cross_entropy(task.model(x), y).backward()
                task.optimizer.step()
            with torch.no_grad():
                task.model.eval()
                for part in held_out.split(4):
                    task.model(part)
    found = run.recording.last(Prediction)
    assert found is not None
    logits = answer(task.model, held_out[sample : sample + 1])[0]
    assert found.sample == sample
    assert found.scores == pytest.approx(logits.tolist(), abs=1e-6)
    capture = next(c for c in run.recording.all(Capture) if c.id == found.capture)
    assert (capture.purpose, capture.training, capture.rows) == ("prediction", False, 1)
    ops = [op for op in run.recording.all(Op) if op.capture == found.capture]
    assert ops[0].module == "0"
    assert ops[-1].outputs[0].row == pytest.approx(logits.tolist(), abs=1e-6)


def test_without_an_evaluation_the_row_is_a_training_row(task: Any):
    with pipetrace.record() as run:
        for x, y in task.loader:
            task.optimizer.zero_grad()
            F.cross_entropy(task.model(x), y).backward()
            task.optimizer.step()
    found = run.recording.last(Prediction)
    assert found is not None
    assert found.heldout is False


def test_a_model_that_the_program_let_go_is_asked_all_the_same(task: Any):
    def program() -> None:
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x, y in task.loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            model(task.x)

    with pipetrace.record() as run:
        program()
    found = run.recording.last(Prediction)
    assert found is not None
    assert len(found.scores) == 2


def test_a_dropout_that_stays_on_in_eval_mode_shows_in_the_second_pass(task: Any):
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 32), nn.Linear(32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(F.dropout(self.first(x), 0.5))

    model = Leaky()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for x, y in task.loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()(task.x)
    assert run.recording.last(Prediction).passes_equal is False
    (contrast,) = run.recording.all(Contrast)
    (dropping,) = contrast.drawing
    first = run.recording.all(Capture)[0].id
    ops = [op for op in run.recording.all(Op) if op.capture == first]
    assert ops[dropping].function == "dropout"
