"""The second lesson asks what stands its execution, and its study compares like with like."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import pipetrace as pt
import pipetrace.lessons
from pipetrace.examples import batchnorm as example
from pipetrace.examples.batchnorm_study import make_model, train
from pipetrace.lessons import batchnorm
from pipetrace.lessons.answering import answer
from pipetrace.lessons.batchnorm.norms import normings
from pipetrace.lessons.drafts import Draft
from pipetrace.lessons.registry import Template, templates
from pipetrace.lessons.select import EXAM
from pipetrace.probes.execute import execute
from pipetrace.records import Question
from pipetrace.tracefile import Recording

FOLDER = Path(pipetrace.lessons.__file__).parent / "batchnorm"
OWN = [each for each in templates() if each.lesson == FOLDER.name]
SEEDS = range(8)
CURVES = {"training loss", "held-out loss", "held-out accuracy"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recording() -> Recording:
    with contextlib.redirect_stdout(io.StringIO()), pt.record() as run:
        example.train(epochs=2)
    return run.recording


def drawn(template: Template, recording: Recording, seed: int) -> Draft:
    found = template.draft(recording, seed)
    assert found is not None, template.id
    return found


def key(question: Question) -> str:
    return next(choice.text for choice in question.choices if choice.correct)


def asked(recording: Recording, id: str) -> list[Question]:
    (template,) = [each for each in OWN if each.id == id]
    return [answer([drawn(template, recording, seed)], execute).questions[0] for seed in SEEDS]


def test_there_is_enough_of_every_level():
    """Practice takes 2, 2 and 1, challenges 1, 2 and 2, a test of ten 3, 4 and 3 of the rest."""
    count = Counter((each.group, each.level) for each in OWN)
    for group in ("practice", "challenge"):
        assert min(count[group, level] for level in ("easy", "medium", "hard")) >= 2
    levels = Counter(each.level for each in OWN)
    before = {"easy": 2 + 1, "medium": 2 + 2, "hard": 1 + 2}
    for level, count in EXAM.items():
        assert levels[level] - before[level] >= 2 * count, "two forms without repetition"
    assert {each.needs for each in OWN if each.group == "quiz"} == {"subject"}
    assert {each.needs for each in OWN if each.group != "quiz"} == {"nothing"}


@pytest.mark.parametrize("template", OWN, ids=lambda each: each.id)
def test_every_draft_stands_its_execution(template: Template, recording: Recording):
    forms = set()
    for seed in SEEDS:
        answers = answer([drawn(template, recording, seed)], execute, seed)
        assert answers.rejections == ()
        (question,) = answers.questions
        assert len(question.choices) == 4
        assert len({choice.text.casefold() for choice in question.choices}) == 4
        assert question.steps
        assert question.answer
        assert question.check
        assert question.hint
        assert bool(question.mistakes) == (question.group != "quiz")
        assert all(choice.executed and choice.outcome for choice in question.choices)
        texts = frozenset(choice.text for choice in question.choices)
        forms.add((question.text, question.code, texts))
    assert len(forms) >= 4


def test_no_draw_is_rejected_and_the_longest_option_is_no_clue(recording: Recording):
    hits = []
    for template, seed in itertools.product(OWN, range(24)):
        answers = answer([drawn(template, recording, 1000 + seed)], execute, seed)
        assert answers.rejections == ()
        choices = answers.questions[0].choices
        longest = max(len(choice.text) for choice in choices)
        best = [choice for choice in choices if len(choice.text) == longest]
        hits.append(sum(choice.correct for choice in best) / len(best))
    assert 0.13 < sum(hits) / len(hits) < 0.37


def test_keys_are_what_the_run_recorded(recording: Recording):
    stages = {each.op.module: each for each in normings(recording) if each.by_batch}
    assert sorted(stages) == ["0", "2", "5"]
    assert {each.shape for each in stages.values()} == {(32, 8), (32, 24)}
    assert {key(each) for each in asked(recording, "B101")} <= {"16", "48"}
    assert {key(each) for each in asked(recording, "B102")} <= {"33", "97"}
    assert {key(each) for each in asked(recording, "B103")} == {"32"}
    for question in asked(recording, "B104"):
        assert float(key(question)) == pytest.approx(1, abs=1e-3)


def test_truths_that_are_often_told_wrong(recording: Recording):
    for question in asked(recording, "B206"):
        assert (key(question) == "0.0") == ("is in train mode now" in question.text)
    assert len({key(each) for each in asked(recording, "B206")}) > 2
    pairs = {key(each) for each in asked(recording, "B303")}
    assert pairs <= {f"[{s * n}.0, {-s * n}.0]" for s in (1, -1) for n in (1, 2, 3, 5)}
    assert len(pairs) > 2
    for question in asked(recording, "B205"):
        wrong = {choice.text for choice in question.choices if not choice.correct}
        assert not {text for text in wrong if "eval" in text or "train(False)" in text}
    for question in asked(recording, "B106"):
        (right,) = [choice for choice in question.choices if choice.correct]
        assert "Expected more than 1 value per channel" in right.feedback


def test_a_run_without_the_layer_is_not_asked_about_it():
    with pt.record() as run:
        torch.nn.Linear(3, 2)(torch.ones(4, 3))
    for template in OWN:
        found = template.draft(run.recording, 0)
        assert (found is None) == (template.needs == "subject"), template.id


def test_recording_leaves_the_example_alone_bit_for_bit(capsys: pytest.CaptureFixture[str]):
    alone = example.train(epochs=1, seed=3).state_dict()
    printed = capsys.readouterr().out
    with pt.record():
        recorded = example.train(epochs=1, seed=3).state_dict()
    assert capsys.readouterr().out == printed
    assert set(alone) == set(recorded)
    assert len(alone) == 19
    assert all(torch.equal(alone[name], recorded[name]) for name in alone)


def test_the_example_learns_and_is_evaluated_in_eval_mode(capsys: pytest.CaptureFixture[str]):
    accuracies = []
    for seed in range(5):
        model = example.train(seed=seed, data_seed=seed)
        _, _, x, y = example.make_rows(seed)
        loss, accuracy = example.evaluate(model, x, y)
        assert (loss, accuracy) == example.evaluate(model, x, y)
        accuracies.append(accuracy)
    assert min(accuracies) > 0.78
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 25
    assert all(line.startswith("epoch ") for line in printed)


def study() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "lesson.toml").read_text(encoding="utf-8"))["study"]


def test_the_seed_decides_everything_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]):
    first = train(seed=3, epochs=2)
    torch.rand(7)
    assert train(seed=3, epochs=2) == first
    assert train(seed=4, epochs=2) != first
    assert set(first) == CURVES
    assert {len(values) for values in first.values()} == {2}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("depth", [2, 6])
def test_both_sides_of_a_pair_begin_with_the_same_weights(depth: int):
    def linear(norm: str) -> list[torch.Tensor]:
        torch.manual_seed(0)
        layers = [each for each in make_model(norm, depth) if isinstance(each, torch.nn.Linear)]
        return [each.weight for each in layers]

    pairs = zip(linear("with"), linear("without"), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_comparison_differs_in_the_layer_alone():
    for each in study()["comparisons"]:
        assert each["with"] | {"norm": "without"} == each["without"]
        assert each["seeds"] == 8
        curves = [train(seed=0, **(each[side] | {"epochs": 1})) for side in ("with", "without")]
        assert curves[0] != curves[1]


def test_the_start_misses_the_target_and_some_settings_reach_it():
    knobs, target = study()["knobs"], study()["target"]
    assert {knob["id"] for knob in knobs} == {"norm", "scales", "batch", "rate"}
    reached = {}
    for values in itertools.product(*(knob["values"] for knob in knobs)):
        settings = dict(zip((knob["id"] for knob in knobs), values, strict=True))
        last = train(seed=0, **settings)[target["measure"]][-1]
        assert math.isfinite(last), settings
        reached[values] = last <= target["at_most"]
    assert not reached[tuple(knob["values"][knob["chosen"]] for knob in knobs)]
    assert 0 < sum(reached.values()) <= 0.25 * len(reached)
    assert any(hit for values, hit in reached.items() if values[:2] == ("with", "apart"))


def test_the_package_names_its_modules():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "norms"}
    assert set(batchnorm.__all__) == files
