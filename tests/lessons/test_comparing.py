"""Losses are compared in one mode, chance is called nothing else, and draws read differently."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.lessons import select
from pipetrace.lessons.answering import answer
from pipetrace.lessons.registry import templates
from pipetrace.probes.execute import execute
from pipetrace.records import Bin, Classification, Evaluation, Metrics, Probe, Question
from pipetrace.tracefile import Recording

OWN = {each.id: each for each in templates()}
assert select.FAMILIES, "importing the choice registers the templates"


def trained(*, evaluate: bool) -> Recording:
    """Train with much dropout, evaluated in eval mode or, as some forget, in train mode."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, 2))
    rows = torch.randn(96, 6)
    targets, loss = (rows[:, 0] > 0).long(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pt.record() as run:
        for _ in range(3):
            model.train()
            for at in range(0, 64, 16):
                optimizer.zero_grad()
                loss(model(rows[at : at + 16]), targets[at : at + 16]).backward()
                optimizer.step()
            model.train(not evaluate)
            with torch.no_grad():
                loss(model(rows[64:]), targets[64:])
    return run.recording


def asked(id: str, run: Recording, seed: int = 0) -> Question | None:
    draft = OWN[id].draft(run, seed)
    if draft is None:
        return None
    answers = answer([draft], execute, seed)
    assert answers.rejections == ()
    return answers.questions[0]


def key(question: Question | None) -> str:
    assert question is not None
    return next(choice.text for choice in question.choices if choice.correct)


def test_losses_are_compared_in_one_mode_and_of_the_same_weights():
    run = trained(evaluate=True)
    probes, evaluations = run.all(Probe), run.all(Evaluation)
    assert all(each.on.loss != each.off.loss for each in probes)
    gaps = {
        round(held.score.loss - probe.off.loss, 3)
        for probe, held in zip(probes, evaluations, strict=True)
        if held.score.loss is not None and probe.off.loss is not None
    }
    assert {round(float(key(asked("A424", run, seed))), 3) for seed in range(12)} == gaps


@pytest.mark.parametrize("id", ["A424", "D116", "D117"])
def test_an_evaluation_in_train_mode_is_not_told_as_one_in_eval_mode(id: str):
    run = trained(evaluate=False)
    assert {each.mode for each in run.all(Evaluation)} == {True}
    for seed in range(6):
        question = asked(id, run, seed)
        assert question is None or "held-out rows in eval mode, not measured" in question.text


def evaluated(count: int, right: int, probability: float) -> Recording:
    bins = (Bin(count=count, probability=probability, share=right / count),)
    metrics = Metrics(
        training=0, epoch=1, evaluation=0, loss="cross_entropy", counted=count,
        classification=Classification(classes=4, accuracy=0.5, majority=0.4, bins=bins),
    )  # fmt: skip
    return Recording([metrics], {}, None)


@pytest.mark.parametrize(
    ("count", "right", "probability"), [(8, 4, 0.385), (5, 5, 0.9), (40, 26, 0.7), (10, 10, 1.0)]
)
def test_chance_is_not_called_miscalibration(count: int, right: int, probability: float):
    assert asked("A445", evaluated(count, right, probability)) is None


def test_what_chance_hardly_brings_is_asked_about():
    assert key(asked("A445", evaluated(200, 100, 0.385))) == "It was too unsure, by 0.115"
    assert key(asked("A445", evaluated(200, 100, 0.615))) == "It was too sure, by 0.115"


@pytest.fixture(scope="module")
def run() -> Recording:
    return trained(evaluate=True)


def draws(id: str, run: Recording) -> list[Question]:
    return [each for seed in range(30) if (each := asked(id, run, seed)) is not None]


@pytest.mark.parametrize("id", ["A104", "A203", "A301", "A302", "D105", "B204", "B306", "B307"])
def test_a_template_has_eight_draws_at_least(run: Recording, id: str):
    found = draws(id, run)
    assert len(found) >= 25
    said = {(q.text, q.code, frozenset(choice.text for choice in q.choices)) for q in found}
    assert len(said) >= 8


@pytest.mark.parametrize("id", ["D108", "B206", "B303"])
def test_a_key_is_not_always_the_same_number(run: Recording, id: str):
    assert len({key(question) for question in draws(id, run)}) > 3
