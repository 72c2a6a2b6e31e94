"""The templates about dropout: enough of them, fair, executed, and different from draw to draw."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import torch
from torch import nn

from lessons.conftest import record, seed_model
from pipetrace.lessons import dropout
from pipetrace.lessons.answering import Answers, answer
from pipetrace.lessons.drafts import Draft
from pipetrace.lessons.registry import LEVELS, Template, belief, templates
from pipetrace.probes.execute import execute
from pipetrace.records import Capture, Fact, Mask, Op, Prediction, Question
from pipetrace.tracefile import Recording

DRAWS = 12
TEMPLATES = [each for each in templates() if each.lesson == "dropout"]
FREE = [each for each in TEMPLATES if each.needs == "nothing"]
PLACES = {"flow", "training", "prediction", "metrics", "contrast", "lab", "network", "findings"}
"""Sections of a page that a question may point to; of `provenance` none asks."""


class Drawn(NamedTuple):
    """One template, drawn several times from a run and executed."""

    template: Template
    drafts: list[Draft]
    answers: list[Answers]

    @property
    def questions(self) -> list[Question]:
        return [question for each in self.answers for question in each.questions]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def drawn(seed_run: Recording) -> dict[str, Drawn]:
    return {template.id: draw(template, seed_run, DRAWS) for template in TEMPLATES}


def draw(template: Template, run: Recording, count: int) -> Drawn:
    found = [template.draft(run, seed) for seed in range(count)]
    drafts = [each for each in found if each is not None]
    return Drawn(template, drafts, [answer([each], execute, each.form) for each in drafts])


def test_there_are_enough() -> None:
    assert len(TEMPLATES) >= 62
    groups = Counter(template.group for template in TEMPLATES)
    assert groups["quiz"] >= 22
    assert groups["practice"] >= 26
    assert groups["challenge"] >= 18
    levels = Counter(template.level for template in TEMPLATES)
    assert min(levels.values()) >= 20
    cells = Counter((template.group, template.level) for template in TEMPLATES)
    assert min(cells[group, level] for group in groups for level in LEVELS) >= 4


def test_the_first_ones_kept_their_ids() -> None:
    known = {template.id for template in TEMPLATES}
    assert {f"D10{index}" for index in range(1, 8)} <= known
    assert {f"D20{index}" for index in range(1, 6)} <= known


def test_a_subject_is_a_short_phrase() -> None:
    words = [template.words for template in TEMPLATES]
    assert len(set(words)) == len(words)
    for phrase in words:
        assert len(phrase) < 90
        assert phrase[0].isupper()
        assert phrase.endswith(".")


def test_every_question_says_where_its_answer_is_seen() -> None:
    assert {template.place for template in TEMPLATES} <= PLACES


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_a_template_stands_its_execution(template: Template, drawn: dict[str, Drawn]) -> None:
    found = drawn[template.id]
    assert len(found.drafts) == DRAWS
    refused = [rejection.reason for each in found.answers for rejection in each.rejections]
    assert len(refused) * 4 <= DRAWS, refused
    for asked in found.questions:
        assert len(asked.choices) == 4
        assert sum(choice.correct for choice in asked.choices) == 1
        assert all(bool(choice.misconception) != choice.correct for choice in asked.choices)
        for text in (asked.answer, asked.hint, asked.check, *asked.steps):
            assert text
        assert bool(asked.mistakes) == (asked.group != "quiz")
        assert asked.group != "challenge" or asked.code
        assert asked.subject == template.words.rstrip(".")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_parallel_forms_differ(template: Template, drawn: dict[str, Drawn]) -> None:
    forms = {
        (asked.text, asked.code, tuple(sorted(choice.text for choice in asked.choices)))
        for asked in drawn[template.id].questions
    }
    assert len(forms) >= 4


def test_the_same_seed_drafts_the_same(seed_run: Recording, drawn: dict[str, Drawn]) -> None:
    for template in TEMPLATES:
        assert template.draft(seed_run, 5) == drawn[template.id].drafts[5]


def test_the_key_stands_anywhere(drawn: dict[str, Drawn]) -> None:
    counts = Counter(position(asked) for each in drawn.values() for asked in each.questions)
    expected = sum(counts.values()) / 4
    # 16.27: the 99.9 % point of chi-square with three degrees of freedom
    assert sum((counts[place] - expected) ** 2 / expected for place in range(4)) < 16.27


@pytest.mark.parametrize("pick", [max, min], ids=["longest", "shortest"])
def test_the_length_of_an_option_is_no_clue(pick: type[max], drawn: dict[str, Drawn]) -> None:
    hits: dict[str, list[float]] = {}
    for asked in itertools.chain.from_iterable(each.questions for each in drawn.values()):
        lengths = [len(choice.text) for choice in asked.choices]
        best = [index for index, size in enumerate(lengths) if size == pick(lengths)]
        hits.setdefault(asked.group, []).append((position(asked) in best) / len(best))
    together = list(itertools.chain.from_iterable(hits.values()))
    assert 0.17 < sum(together) / len(together) < 0.33
    for group in hits.values():
        assert 0.1 < sum(group) / len(group) < 0.4


def test_every_misconception_is_registered_and_held_by_somebody(drawn: dict[str, Drawn]) -> None:
    held = {
        option.misconception
        for each in drawn.values()
        for drafted in each.drafts
        for option in drafted.options
        if not option.correct
    }
    for name in held:
        assert belief(name).endswith(".")
    sources = "".join(path.read_text("utf-8") for path in folder().glob("*.py"))
    written = {name for name in registered() if sources.count(f'"{name}"') > 1}
    assert registered() == written
    # a rare variant need not come up in a dozen draws, most of them must
    assert len(held & registered()) > 0.9 * len(registered())


def test_claims_come_true_again(drawn: dict[str, Drawn]) -> None:
    for each in drawn.values():
        for choice in each.questions[0].choices:
            outcome = execute(choice.executed)
            again = f"{outcome.error}: {outcome.message}" if outcome.error else outcome.value
            assert again == choice.outcome


@pytest.mark.parametrize("p", [0.0, 0.001, 0.5, 0.9, 0.999, 1.0])
def test_any_rate_is_asked_about_or_left_alone(p: float) -> None:
    torch.manual_seed(3)
    run = record(seed_model(p), torch.randn(32, 20))
    for template in TEMPLATES:
        found = draw(template, run, 4)
        assert template.needs != "nothing" or len(found.drafts) == 4, template.id
        refused = [item.reason for each in found.answers for item in each.rejections]
        assert len(refused) <= 2, (template.id, refused)
    if p in (0.0, 1.0):
        assert not [t.id for t in TEMPLATES if t.needs == "subject" and t.draft(run, 0)]


def test_dropout_inside_a_model_of_images() -> None:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Dropout(0.4), nn.Flatten(), nn.Linear(72, 3)
    )
    run = record(model, torch.randn(8, 1, 8, 8), epochs=2)
    shown = []
    for template in TEMPLATES:
        found = draw(template, run, 4)
        refused = [item.reason for each in found.answers for item in each.rejections]
        assert len(refused) <= 2, (template.id, refused)
        shown += [template.id for _ in found.questions[:1]]
    assert {"D101", "D108", "D111", "D113", "D118", "D121"} <= set(shown)


def test_functional_dropout(seed_run: Recording) -> None:
    """The model's own forward calls it: there is no stage to name."""
    facts: list[Fact] = [
        msgspec.structs.replace(fact, module="", module_type="Net")
        if isinstance(fact, Op) and fact.function == "dropout"
        else fact
        for fact in seed_run.facts
    ]
    run = Recording(facts, {}, None)
    for template in TEMPLATES:
        found = draw(template, run, 2)
        assert len(found.questions) >= 1, template.id
        if "{stage" in found.drafts[0].text:
            assert "the call of `dropout`" in found.questions[0].text.casefold()


def test_a_run_without_dropout_or_values(plain_run: Recording, seed_run: Recording) -> None:
    for template in TEMPLATES:
        asked = draw(template, plain_run, 1).questions
        assert len(asked) == (template.needs == "nothing"), template.id
    facts = [bare(fact) for fact in seed_run.facts]
    run = Recording(facts, {}, None)
    silent = {each.id for each in TEMPLATES if not draw(each, run, 1).questions}
    assert silent == {"D101", "D104", "D107", "D108", "D111", "D112", "D113", "D122"}


def test_channels_are_not_taken_for_elements(seed_run: Recording) -> None:
    facts: list[Fact] = [
        msgspec.structs.replace(fact, mask=msgspec.structs.replace(fact.mask, unit="channels"))
        if isinstance(fact, Op) and isinstance(fact.mask, Mask)
        else fact
        for fact in seed_run.facts
    ]
    run = Recording(facts, {}, None)
    assert not [each.id for each in TEMPLATES if each.needs == "subject" and each.draft(run, 0)]


def test_passes_that_differ_are_not_called_equal(seed_run: Recording) -> None:
    facts: list[Fact] = [
        msgspec.structs.replace(fact, passes_equal=False, train_difference=None)
        if isinstance(fact, Prediction)
        else fact
        for fact in seed_run.facts
    ]
    run = Recording(facts, {}, None)
    assert {each.id for each in TEMPLATES if each.draft(run, 0) is None} == {"D114", "D115"}


def test_what_an_easy_and_a_hard_question_come_to(drawn: dict[str, Drawn]) -> None:
    """Known truths, computed here without the templates' code."""
    for asked in drawn["D119"].questions:
        q = float(asked.text.partition("sets p to ")[2].partition(". By")[0])
        assert float(key(asked)) == pytest.approx(1 / (1 - q), abs=1e-4)
    for asked in drawn["D303"].questions:
        lines = [line.partition("  #")[0].rstrip() for line in asked.code.splitlines()]
        stopped = int(key(asked).removeprefix("Line "))
        with pytest.raises(RuntimeError):
            execute_lines(lines[:stopped])
        execute_lines(lines[: stopped - 1])
    for asked in drawn["D221"].questions:
        p = float(asked.text.partition("nn.Dropout(")[2].partition(")")[0])
        passes = int(asked.text.partition("mean of ")[2].partition(" passes")[0])
        assert float(key(asked)) == pytest.approx((p / (1 - p) / passes) ** 0.5, abs=1e-3)


def execute_lines(lines: list[str]) -> None:
    exec("\n".join(lines), {"torch": torch, "nn": nn, "F": nn.functional})


def key(asked: Question) -> str:
    return asked.choices[position(asked)].text


def position(asked: Question) -> int:
    return next(index for index, choice in enumerate(asked.choices) if choice.correct)


def folder() -> Path:
    return Path(dropout.__file__).parent


def registered() -> set[str]:
    """Return the ids that this lesson registers."""
    text = (folder() / "beliefs.py").read_text("utf-8")
    return {line.split('"')[1] for line in text.splitlines() if line.startswith('        "')}


def bare(fact: Fact) -> Fact:
    """Leave values out, as `--no-values` does."""
    if isinstance(fact, Op):
        outputs = tuple(msgspec.structs.replace(each, row=()) for each in fact.outputs)
        mask = fact.mask and msgspec.structs.replace(fact.mask, row=())
        return msgspec.structs.replace(fact, outputs=outputs, mask=mask)
    if isinstance(fact, Capture):
        inputs = tuple((name, msgspec.structs.replace(each, row=())) for name, each in fact.inputs)
        return msgspec.structs.replace(fact, inputs=inputs)
    return fact
