"""A framework's script, unmodified, does what it does alone, and the run file says what it said."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from pipetrace import naming, tracefile
from pipetrace.records import Epoch, Evaluation, Model, Notice, Prediction, Training
from pipetrace.tracefile import Recording
from pipetrace.training.phases import LOADER

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS / "frameworks" / "scripts"


class Expected(NamedTuple):
    """What a script does: steps of each epoch, and the step after which each evaluation came."""

    package: str
    optimizer: str
    steps: tuple[int, ...]
    evaluated: tuple[int, ...]
    model: str = "Sequential"
    before: int = 0
    """Evaluations before the first step, and rows in each evaluation after it."""
    rows: int = 50
    trainings: int = 1


EXPECTED = {
    "lightning_trainer": Expected("lightning", "Adam", (5, 5, 5), (5, 10, 15), before=1),
    "lightning_folds": Expected(
        "lightning", "SGD", (3, 3, 3, 3), (3, 6, 9, 12), "Classifier", 2, 45, trainings=2
    ),
    "lightning_fabric": Expected("lightning", "AdamW", (5, 5, 5), (5, 10, 15), "_FabricModule"),
    "accelerate_loop": Expected("accelerate", "SGD", (3, 3, 3), (3, 6, 9)),
    "skorch_classifier": Expected("skorch", "Adam", (4, 4, 4), (4, 8, 12), rows=18),
    "hf_epochs": Expected(
        "transformers", "AdamW", (5, 5, 5), (5, 10, 15), "BertForSequenceClassification", rows=20
    ),
    "hf_steps": Expected("transformers", "AdamW", (6, 6), (4, 8, 12), "GPT2LMHeadModel", rows=12),
    "keras_fit": Expected("keras", "Adam", (5, 5, 5), (5, 10, 15)),
    "ignite_engines": Expected("ignite", "RMSprop", (5, 5, 5), (5, 10, 15)),
}


class Pair(NamedTuple):
    """A script that ran alone and recorded."""

    alone: str
    recorded: str
    told: dict[str, list[float]]
    """What the framework says about its epochs."""
    recording: Recording
    expected: Expected


def start(arguments: list[str], folder: Path) -> str:
    paths = [str(TESTS / "scripts"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # What a library says about its own future goes to stderr, and is no failure of ours.
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=EXPECTED)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    name: str = request.param
    expected = EXPECTED[name]
    if importlib.util.find_spec(expected.package) is None:
        reason = f"{expected.package} is not installed: pip install --group frameworks"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    folder, script = tmp_path_factory.mktemp(name), str(SCRIPTS / f"{name}.py")
    alone = start([script], folder)
    recorded = start(
        ["-m", "pipetrace", "run", "--quiet", "--out", str(folder / "runs"), script], folder
    )
    reported = next(line for line in alone.splitlines() if line.startswith("reported "))
    told = json.loads(reported.removeprefix("reported "))
    recording = tracefile.load(naming.newest(folder / "runs"))
    return Pair(alone, recorded, told, recording, expected)


def test_it_prints_and_leaves_the_same_bits(pair: Pair):
    assert pair.alone.splitlines()[-1].startswith("digest ")
    assert pair.recorded == pair.alone


def test_nothing_went_wrong_in_the_recording(pair: Pair):
    assert pair.recording.all(Notice) == []


def test_trainings_and_epochs_are_those_of_the_framework(pair: Pair):
    epochs, expected = pair.recording.all(Epoch), pair.expected
    trainings = pair.recording.all(Training)
    assert [training.optimizer for training in trainings] == (
        [expected.optimizer] * expected.trainings
    )
    assert all(training.loss == "cross_entropy" for training in trainings)
    models = {model.id: model.type for model in pair.recording.all(Model)}
    assert [models[training.model] for training in trainings] == (
        [expected.model] * expected.trainings
    )
    assert tuple(epoch.steps for epoch in epochs) == expected.steps
    assert {epoch.rule for epoch in epochs} == {LOADER}
    each = len(epochs) // expected.trainings
    assert [epoch.index for epoch in epochs] == [*range(1, each + 1)] * expected.trainings
    assert all(epoch.mode is True for epoch in epochs)


def test_losses_are_those_of_the_framework(pair: Pair):
    losses = [epoch.score.loss for epoch in pair.recording.all(Epoch)]
    assert losses == pytest.approx(pair.told["loss"], rel=1e-6)
    if "steps" in pair.told:
        assert list(pair.recording.series["loss/0"]) == pytest.approx(pair.told["steps"], rel=1e-6)
    if "training" in pair.told:
        shares = [epoch.score.accuracy for epoch in pair.recording.all(Epoch)]
        assert shares == pytest.approx(pair.told["training"], rel=1e-6)


def test_every_step_has_a_loss_and_a_learning_rate(pair: Pair):
    for training, epochs in groupby(pair.recording.all(Epoch), key=lambda epoch: epoch.training):
        steps = sum(epoch.steps for epoch in epochs)
        assert len(pair.recording.series[f"loss/{training}"]) == steps
        assert len(pair.recording.series[f"rate/{training}"]) == steps


def test_rates_are_those_of_the_last_step(pair: Pair):
    end, rates = 0, pair.recording.series["rate/0"]
    for epoch in pair.recording.all(Epoch):
        if epoch.training == 0:
            end += epoch.steps
            assert set(epoch.rates) == {rates[end - 1]}
    assert list(rates) == pytest.approx(pair.told.get("rates", list(rates)))


def test_evaluations_are_those_of_the_framework(pair: Pair):
    found, expected = pair.recording.all(Evaluation), pair.expected
    before = [evaluation for evaluation in found if evaluation.index == 0]
    after = [evaluation for evaluation in found if evaluation.index]
    assert len(before) == expected.before
    assert all(evaluation.epoch == 0 and evaluation.seen == 0.0 for evaluation in before)
    assert tuple(evaluation.step for evaluation in after) == expected.evaluated
    assert {evaluation.score.rows for evaluation in after} == {expected.rows}
    assert [evaluation.score.loss for evaluation in after] == (
        pytest.approx(pair.told["heldout"], rel=1e-6)
    )
    if "accuracy" in pair.told:
        shares = [evaluation.score.accuracy for evaluation in after]
        assert shares == pytest.approx(pair.told["accuracy"], rel=1e-6)


def test_what_was_held_out_is_known(pair: Pair):
    after = [evaluation for evaluation in pair.recording.all(Evaluation) if evaluation.index]
    assert {evaluation.seen for evaluation in after if evaluation.epoch} == {0.0}
    assert all(evaluation.mode is False for evaluation in after)
    prediction = pair.recording.last(Prediction)
    assert prediction is not None
    assert prediction.heldout is True
