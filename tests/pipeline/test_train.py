"""The ordinary loop learns real tables, from its seed alone, and leaves the caller's RNG alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipetrace.errors import PipetraceError
from pipetrace.pipeline.metrics import measure
from pipetrace.pipeline.prepare import prepare
from pipetrace.pipeline.train import build, require_settings, train


@pytest.fixture(scope="module")
def small():
    inputs = np.random.default_rng(0).normal(size=(60, 3))
    return prepare((inputs, np.where(inputs[:, 0] > 0, "up", "down")))


def held_out(path, target, metric, seeds=3):
    found = []
    for seed in range(seeds):
        prepared = prepare(path, target, seed=seed)
        found.append(measure(train(prepared, seed=seed), prepared)[metric])
    return sum(found) / seeds


@pytest.mark.parametrize(
    ("name", "target"), [("penguins.csv", "species"), ("penguins_raw.csv", "Species")]
)
def test_penguins_are_told_apart(shared, name, target):
    assert held_out(shared(name), target, "accuracy") > 0.93


def test_body_mass_of_penguins(shared):
    assert held_out(shared("penguins.csv"), "body_mass_g", "R2") > 0.75


@pytest.mark.parametrize(
    ("name", "least"), [("iris", 0.85), ("wine", 0.92), ("digits", 0.92), ("breast_cancer", 0.92)]
)
def test_tables_of_classes(bundled, name, least):
    assert held_out(bundled(name), "target", "accuracy", seeds=2 if name == "digits" else 3) > least


def test_diabetes(bundled):
    path = bundled("diabetes")
    assert prepare(path, "target").task == "values"
    assert held_out(path, "target", "R2") > 0.3


def test_deeper_and_without_dropout(bundled):
    prepared = prepare(bundled("wine"), "target")
    model = train(prepared, hidden=[64, 32], dropout=0)
    assert [type(layer).__name__ for layer in model] == [
        "Dropout", "Linear", "ReLU", "Linear", "ReLU", "Linear"
    ]  # fmt: skip
    assert measure(model, prepared)["accuracy"] > 0.9


def test_the_seed_decides_everything(small):
    first, again, other = (train(small, epochs=2, seed=seed) for seed in (5, 5, 6))
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first[1].weight, other[1].weight)


def test_the_random_stream_of_the_caller_is_left_as_it_was(small):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    train(small, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(PipetraceError):
        train(small, epochs=1, hidden=(0,))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_epoch_wraps_the_range(small):
    seen = []

    def marked(numbers):
        for number in numbers:
            seen.append(number)
            yield number

    train(small, epochs=3, each_epoch=marked)
    assert seen == [0, 1, 2]


def test_training_learns_and_ends_in_eval_mode(small):
    model = train(small)
    assert not model.training
    found = measure(model, small)
    assert found["accuracy"] > found["baseline accuracy"]


def test_a_batch_larger_than_the_table(small):
    assert isinstance(train(small, epochs=1, batch=10_000), nn.Sequential)


def test_a_linear_model():
    assert [type(layer).__name__ for layer in build(4, 2, hidden=())] == ["Dropout", "Linear"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dropout": 1}, "The dropout is 1: write a probability"),
        ({"dropout": -0.1}, "The dropout is -0.1"),
        ({"dropout": 30}, "The dropout is 30"),
        ({"dropout": float("nan")}, "The dropout is nan"),
        ({"dropout": "0.3"}, "The dropout is '0.3'"),
        ({"hidden": (10, 0)}, "A hidden layer's width is 0"),
        ({"hidden": (2.5,)}, "A hidden layer's width is 2.5"),
        ({"hidden": 10}, "The hidden layers are 10"),
        ({"hidden": "64,32"}, "The hidden layers are '64,32'"),
        ({"epochs": 0}, "The number of epochs is 0"),
        ({"epochs": True}, "The number of epochs is True"),
        ({"batch": 0}, "The batch size is 0"),
        ({"rate": 0}, "The learning rate is 0"),
        ({"rate": float("inf")}, "The learning rate is inf"),
        ({"seed": -1}, "The seed is -1"),
    ],
)
def test_settings_out_of_range(small, settings, words):
    with pytest.raises(PipetraceError, match=words):
        train(small, **{"epochs": 1, **settings})


def test_settings_can_be_checked_before_anything_is_read():
    require_settings(hidden=[64, 32], dropout=0, epochs=1, seed=0)
    with pytest.raises(PipetraceError, match="The dropout is 2"):
        require_settings(hidden=(), dropout=2, epochs=1, seed=0)


def test_metrics_agree_with_scikit_learn(bundled):
    from sklearn import metrics

    prepared = prepare(bundled("diabetes"), "target")
    model = train(prepared, epochs=3)
    model.train()
    found = measure(model, prepared)
    assert model.training
    model.eval()
    scale, middle = prepared.target_std, prepared.target_mean
    with torch.no_grad():
        predicted = middle + scale * model(prepared.heldout_inputs).squeeze(1).double()
    truth = middle + scale * prepared.heldout_targets.double()
    assert found["R2"] == pytest.approx(metrics.r2_score(truth, predicted))
    assert found["MAE"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["RMSE"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
