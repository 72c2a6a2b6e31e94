"""The questions of a run: chosen, executed, fair, and right against the recorded numbers."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipetrace.lessons.answering import Answers, answer
from pipetrace.lessons.registry import templates
from pipetrace.lessons.select import questions
from pipetrace.probes.execute import execute
from pipetrace.records import Capture, Fact, Mask, Op, Question
from pipetrace.tracefile import Recording

SEEDS = 200
LEVELS = ["easy", "easy", "medium", "medium", "hard"]
TEST = ["easy"] * 3 + ["medium"] * 4 + ["hard"] * 3


@pytest.fixture(scope="module")
def sets(seed_run: Recording) -> list[Answers]:
    return [questions(seed_run, execute, seed) for seed in range(SEEDS)]


def sound(answers: Answers, quiz: int = 3) -> None:
    asked = answers.questions
    groups = ["quiz"] * quiz + ["practice"] * 5 + ["test"] * 10
    assert [question.group for question in asked] == groups
    assert [question.level for question in asked[quiz : quiz + 5]] == LEVELS
    assert [question.level for question in asked[quiz + 5 :]] == TEST
    assert len({question.id for question in asked}) == len(asked)
    for question in asked:
        assert len(question.choices) == 4
        assert len({choice.text.casefold() for choice in question.choices}) == 4
        assert sum(choice.correct for choice in question.choices) == 1
        assert question.answer
        assert question.hint
        assert question.check
        assert question.steps
        assert all(choice.executed and choice.outcome for choice in question.choices)
        assert all(bool(choice.misconception) != choice.correct for choice in question.choices)
        if question.group == "practice":
            assert question.mistakes


def test_every_set_is_sound(sets: list[Answers]) -> None:
    for answers in sets:
        sound(answers)


def test_a_run_with_an_active_mask_is_asked_about_dropout(sets: list[Answers]) -> None:
    ids = {question.id for answers in sets for question in answers.questions}
    assert {name for name in ids if not name.startswith("D")} == set()
    assert len(ids) > 60


def test_a_quiz_is_about_three_subjects(sets: list[Answers]) -> None:
    """Of dropout: what it does to numbers, its masks, its two modes."""
    subject = {each.id: each.write.__module__ for each in templates("quiz")}
    for answers in sets:
        assert len({subject[question.id] for question in answers.questions[:3]}) == 3


def test_every_claim_comes_true_again(sets: list[Answers]) -> None:
    for question in sets[0].questions + sets[1].questions:
        for choice in question.choices:
            outcome = execute(choice.executed)
            again = f"{outcome.error}: {outcome.message}" if outcome.error else outcome.value
            assert again == choice.outcome


def test_the_key_stands_anywhere(sets: list[Answers]) -> None:
    counts = Counter(position(question) for each in sets for question in each.questions)
    expected = sum(counts.values()) / 4
    # 16.27: the 99.9 % point of chi-square with three degrees of freedom
    assert sum((counts[place] - expected) ** 2 / expected for place in range(4)) < 16.27
    for template in {question.id for each in sets for question in each.questions}:
        places = {position(q) for each in sets for q in each.questions if q.id == template}
        assert places == {0, 1, 2, 3}


def test_the_longest_option_is_no_clue(sets: list[Answers], plain_run: Recording) -> None:
    more = [questions(plain_run, execute, seed) for seed in range(30)]
    for pick in (max, min):
        hits = []
        for question in itertools.chain.from_iterable(each.questions for each in sets + more):
            lengths = [len(choice.text) for choice in question.choices]
            best = [index for index, size in enumerate(lengths) if size == pick(lengths)]
            hits.append((position(question) in best) / len(best))
        # a learner who always takes it gets about what guessing gives
        assert 0.1 < sum(hits) / len(hits) < 0.4


def test_the_same_seed_asks_the_same(seed_run: Recording, sets: list[Answers]) -> None:
    assert questions(seed_run, execute, 7) == sets[7]
    assert sets[7] != sets[8]


def test_every_template_about_dropout_is_asked_of_the_first_run(seed_run: Recording) -> None:
    for template in templates():
        if template.lesson != "dropout":
            continue
        drawn = template.draft(seed_run, 0)
        assert drawn is not None, template.id
        answers = answer([drawn], execute)
        assert answers.rejections == ()
        assert (answers.questions[0].id, answers.questions[0].level) == (
            template.id,
            template.level,
        )


@pytest.mark.parametrize("seed", range(20))
def test_a_run_without_dropout(plain_run: Recording, bare_run: Recording, seed: int) -> None:
    for run in (plain_run, bare_run):
        answers = questions(run, execute, seed)
        sound(answers)
        assert all(each.id.startswith("A") for each in answers.questions[:3])


def test_a_run_without_a_forward_is_asked_nothing() -> None:
    empty = Recording([], {}, None)
    assert questions(empty, execute).questions == ()


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 0.001, 0.999])
def test_legal_rates_at_the_edge(
    run_with: Callable[[float, torch.Tensor], Recording], p: float
) -> None:
    torch.manual_seed(0)
    for seed in range(5):
        sound(questions(run_with(p, torch.randn(16, 20)), execute, seed))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    p=st.floats(0.0, 1.0, width=32),
    row=st.lists(
        st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1e-30, 0.5]),
        min_size=20,
        max_size=20,
    ),
    seed=st.integers(0, 2**32),
)
def test_any_rate_and_any_row(
    run_with: Callable[[float, torch.Tensor], Recording], p: float, row: list[float], seed: int
) -> None:
    run = run_with(p, torch.tensor([row] * 8))
    answers = questions(run, execute, seed)
    sound(answers)
    for question in answers.questions:
        if question.id == "D101":
            survivors = truth(run)
            key = question.choices[position(question)]
            assert any(abs(float(key.text) - each) <= 1e-3 * abs(each) for each in survivors)


def test_keys_are_what_the_run_recorded(seed_run: Recording) -> None:
    mask = mask_of(seed_run)
    keys = {}
    for template in templates("quiz"):
        drawn = template.draft(seed_run, 1)
        if drawn is None:
            continue
        (asked,) = answer([drawn], execute).questions
        keys[asked.id] = asked.choices[position(asked)].text
    assert float(keys["D101"]) in [round(value, 4) for value in truth(seed_run)]
    assert keys["D102"] == "192 on average, with masks that differ"
    assert float(keys["D105"]) == round(mask.scale, 4) == 1.4286
    assert keys["D106"] == "0"
    assert keys["A105"] == "640"
    assert keys["A203"] == "972 bytes"


def test_a_recording_that_contradicts_torch_is_not_asked_about(seed_run: Recording) -> None:
    """Rejections are returned, so that nobody has to believe that they happen."""
    facts = [halved(fact) if isinstance(fact, Op) else fact for fact in seed_run.facts]
    false_run = Recording(facts, seed_run.series, None)
    for name in ("D101", "D105"):
        template = next(each for each in templates() if each.id == name)
        drawn = template.draft(false_run, 0)
        assert drawn is not None
        answers = answer([drawn], execute)
        assert answers.questions == ()
        assert "recorded" in answers.rejections[0].reason
    every = [questions(false_run, execute, seed) for seed in range(8)]
    for answers in every:
        sound(answers)
    assert {rejection.id for answers in every for rejection in answers.rejections} >= {"D101"}


def test_rows_are_found_through_views(seed_run: Recording) -> None:
    (capture,) = [each for each in seed_run.all(Capture) if each.purpose == "training"]
    (dropped,) = [each for each in seed_run.all(Op) if each.mask is not None]
    view = msgspec.structs.replace(
        dropped, index=0, function="view", module_type="", view=True, mask=None, outputs=()
    )
    link = msgspec.structs.replace(dropped.inputs[0], source="op", index=0)
    behind = msgspec.structs.replace(dropped, index=1, inputs=(link,))
    run = Recording([view, behind, capture], {}, None)
    template = next(each for each in templates() if each.id == "D101")
    drawn = template.draft(run, 0)
    assert drawn is not None
    assert len(answer([drawn], execute).questions) == 1


def test_a_run_without_values_is_still_asked(seed_run: Recording) -> None:
    """`--no-values` leaves every row empty."""
    facts = [bare(fact) for fact in seed_run.facts]
    for seed in range(10):
        answers = questions(Recording(facts, {}, None), execute, seed)
        sound(answers)
        assert "D101" not in {question.id for question in answers.questions}


def test_truths_that_common_teaching_gets_wrong(sets: list[Answers]) -> None:
    by_id = {question.id: question for answers in sets for question in answers.questions}
    wrong = [
        choice.text for each in by_id.values() for choice in each.choices if not choice.correct
    ]
    assert not [text for text in wrong if "noise" in text.casefold()]
    calls = [each for answers in sets for each in answers.questions if each.id == "D202"]
    errors = {
        choice.text: choice.outcome.partition(":")[0] for each in calls for choice in each.choices
    }
    assert (
        errors.items()
        >= {
            "`nn.Dropout(0.3)`": "0.3",
            "`nn.Dropout(30)`": "ValueError",
            "`nn.Dropout(p=30)`": "ValueError",
            "`nn.Dropout(rate=0.3)`": "TypeError",
        }.items()
    )
    assert all("their p is 0 and 1" in each.mistakes[1] for each in calls)
    assert any("`nn.Dropout(0.3).training` is True" in step for step in by_id["D204"].steps)


def test_drafting_never_imports_torch() -> None:
    code = (
        "import sys, pipetrace.lessons.select, pipetrace.story.questions; "
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def position(question: Question) -> int:
    return next(index for index, choice in enumerate(question.choices) if choice.correct)


def mask_of(run: Recording) -> Mask:
    return next(op.mask for op in run.all(Op) if op.mask is not None)


def truth(run: Recording) -> list[float]:
    """What torch itself made of the survivors of the sample's row."""
    op = next(op for op in run.all(Op) if op.mask is not None)
    assert op.mask is not None
    row = op.outputs[0].row
    return [value for value, kept in zip(row, op.mask.row, strict=True) if kept]


def halved(op: Op) -> Op:
    """State of an op what torch never did."""
    if op.mask is None:
        return op
    (out,) = op.outputs
    return msgspec.structs.replace(
        op,
        mask=msgspec.structs.replace(op.mask, scale=op.mask.scale / 2),
        outputs=(msgspec.structs.replace(out, row=tuple(value / 2 for value in out.row)),),
    )


def bare(fact: Fact) -> Fact:
    if isinstance(fact, Op):
        outputs = tuple(msgspec.structs.replace(each, row=()) for each in fact.outputs)
        mask = fact.mask and msgspec.structs.replace(fact.mask, row=())
        return msgspec.structs.replace(fact, outputs=outputs, mask=mask)
    if isinstance(fact, Capture):
        inputs = tuple((name, msgspec.structs.replace(each, row=())) for name, each in fact.inputs)
        return msgspec.structs.replace(fact, inputs=inputs)
    return fact
