"""Two runs side by side: real trainings that differ in one thing, and what is said of them."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.blocks import Chart, Checks, Code, Crash, Table, Text
from pipetrace.records import (
    Capture,
    Ended,
    Epoch,
    Evaluation,
    Histograms,
    Layers,
    Model,
    Op,
    Prediction,
    Probe,
    Provenance,
    SourceText,
    Tensor,
    Training,
)
from pipetrace.story.differences.page import page
from pipetrace.story.differences.pair import Pair
from pipetrace.story.differences.sources import same_source, source
from pipetrace.story.differences.stages import aligned, tensors
from pipetrace.tracefile import Recording

torch.set_num_threads(1)
RUNS = (
    "dropout_run", "regression_run", "big_run", "failed_run", "table_run", "folds_run", "empty_run",
)  # fmt: skip


def train(
    *, seed: int = 3, p: float = 0.5, epochs: int = 3, activation: Any = nn.ReLU,
    nudge: int = 0, slower: int = 0,
) -> Recording:  # fmt: skip
    """Train for real; `nudge` changes a weight before that step, `slower` the rate at it."""
    rows = torch.Generator().manual_seed(1)
    x = torch.randn(24, 4, generator=rows)
    y = (x[:, 0] > 0).long()
    with pt.record() as run:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 6), activation(), nn.Dropout(p), nn.Linear(6, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        step = 0
        for _ in range(epochs):
            model.train()
            for start in range(0, 24, 8):
                step += 1
                if step == nudge:
                    with torch.no_grad():
                        model[0].weight[0, 0] += 1e-3
                if step == slower:
                    optimizer.param_groups[0]["lr"] = 0.05
                optimizer.zero_grad()
                F.cross_entropy(model(x[start : start + 8]), y[start : start + 8]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(x[:8]), y[:8])
    return run.recording


@pytest.fixture(scope="module")
def plain() -> Recording:
    return train()


def compared(a: Recording, b: Recording) -> dict[str, Any]:
    made = page(a, b)
    parts = {part.id: part for part in made.sections}
    assert not any(isinstance(block, Crash) for part in made.sections for block in part.blocks)
    return parts


def said(parts: dict[str, Any]) -> str:
    first = parts["first"].blocks[0]
    assert isinstance(first, Text)
    return first.text


def states(parts: dict[str, Any]) -> dict[str, tuple[str, str]]:
    checks = parts["first"].blocks[1]
    assert isinstance(checks, Checks)
    return {check.label.partition(": ")[0]: (check.state, check.detail) for check in checks.checks}


def test_equal_runs_are_said_to_be_equal_in_what_was_compared(plain):
    parts = compared(plain, train())
    assert said(parts) == (
        "Equal in settings and source text. What they computed is equal in all that was compared: "
        "model as built (5 modules), first forward (4 ops, statistics over all values), losses by "
        "step (9 steps), learning rates by step (9 steps), what epochs measured (3 epochs) and "
        "prediction (2 outputs of sample 0)."
    )
    assert {state for state, _ in states(parts).values()} == {"yes"}
    assert parts["first"].blocks[2].text.startswith("Not compared, because a run file does not ")
    assert "source" not in parts
    for block in parts["curves"].blocks:
        if isinstance(block, Table):
            assert {row[-1] for row in block.rows} <= {"0", "–"}


def test_the_first_step_whose_loss_differs_is_named_with_both_losses(plain):
    other = train(nudge=5)
    parts = compared(plain, other)
    a, b = (run.series["loss/0"] for run in (plain, other))
    assert a[:4] == b[:4]
    assert a[4] != b[4]
    (one, two) = re.findall(r"until step 5: loss (\S+) against (\S+)\.$", said(parts))[0]
    assert said(parts).startswith("Equal in settings and source text. The runs are equal until ")
    assert float(one) == pytest.approx(a[4], rel=1e-3)
    assert float(two) == pytest.approx(b[4], rel=1e-3)
    found = states(parts)
    assert found["first forward"][0] == found["learning rates by step"][0] == "yes"
    assert found["what epochs measured"][1].startswith("epoch 2: the loop's mean loss ")


def test_what_differs_first_is_first_in_the_order_of_steps(plain):
    parts = compared(plain, train(slower=5))
    assert said(parts).endswith("The runs are equal until step 5: learning rate 0.1 against 0.05.")
    assert states(parts)["losses by step"][1].startswith("step 6: loss ")
    labels = list(states(parts))
    assert labels.index("learning rates by step") < labels.index("losses by step")
    rows = {row[0]: row[1:] for row in parts["settings"].blocks[0].rows}
    assert rows["learning rates by epoch"] == ("0.1", "0.1 → 0.05")


def test_another_dropout_is_another_model_and_another_argument(plain):
    parts = compared(plain, train(p=0.25))
    assert said(parts).endswith(
        "What they computed differs from the start: the model, 2: Dropout(p=0.5, inplace=False) "
        "against Dropout(p=0.25, inplace=False)."
    )
    assert parts["model"].blocks[0].rows == (
        ("the model, 2", "Dropout(p=0.5, inplace=False)", "Dropout(p=0.25, inplace=False)"),
    )
    rows = parts["stages"].blocks[1].rows
    assert rows[0] == ("2", "2", "2", "dropout", "p=0.5 against 0.25")


def test_other_initial_weights_show_in_the_first_op(plain):
    other = train(seed=4)
    parts = compared(plain, other)
    words = states(parts)["first forward"][1]
    assert words.startswith("op 0 (linear in 0): mean ")
    ops = [run.all(Op)[0].outputs[0] for run in (plain, other)]
    told = [float(word) for word in re.findall(r"-?\d\.\S+", words)]
    assert told == pytest.approx([op.mean for op in ops], rel=1e-3)
    assert "settings (seed 3 against 4)" in said(parts)


def test_ops_are_here_or_there_only(plain):
    parts = compared(plain, train(activation=nn.Tanh))
    rows = parts["stages"].blocks[1].rows
    assert ("1", "", "1", "relu", "only in A") in rows
    assert ("", "1", "1", "tanh", "only in B") in rows
    assert "3 ops at the same place in both" in parts["stages"].blocks[0].text


def test_what_only_one_run_measured_is_no_difference(plain):
    """Which epochs are probed depends on time: equal runs may have measured other numbers."""

    def fewer(recording: Recording) -> Recording:
        facts: list[Any] = []
        for fact in recording.facts:
            if isinstance(fact, Epoch):
                score = msgspec.structs.replace(fact.score, accuracy=None)
                fact = msgspec.structs.replace(fact, gradient_norm=None, score=score)
            if not isinstance(fact, (Probe, Layers, Histograms)):
                facts.append(fact)
        return Recording(facts, recording.series, None)

    assert plain.all(Probe)
    assert any(epoch.gradient_norm for epoch in plain.all(Epoch))
    for a, b in ((plain, fewer(plain)), (fewer(plain), plain)):
        parts = compared(a, b)
        assert {state for state, _ in states(parts).values()} == {"yes"}
        assert states(parts)["what epochs measured"] == ("yes", "3 epochs")
        assert "What they computed is equal in all that was compared: " in said(parts)
        assert (
            "Nor is compared what only one of the two runs measured"
            in parts["first"].blocks[2].text
        )
    other = states(compared(plain, fewer(train(nudge=5))))
    assert other["what epochs measured"][1].startswith("epoch 2: the loop's mean loss ")


def test_a_comparison_of_nothing_is_none(plain):
    def without(recording: Recording, *series: str) -> Recording:
        facts: list[Any] = []
        for fact in recording.facts:
            if isinstance(fact, Prediction):
                fact = msgspec.structs.replace(fact, scores=(), probabilities=())
            if not isinstance(fact, (Epoch, Evaluation, Op)):
                facts.append(fact)
        left = {name: values for name, values in recording.series.items() if name not in series}
        return Recording(facts, left, None)

    none = without(plain, "loss/0")
    nothing = {"prediction", "what epochs measured", "first forward", "losses by step"}
    found = states(compared(none, none))
    assert {label for label, (state, _) in found.items() if state == "unknown"} == nothing
    assert found["prediction"][1] == "no outputs were recorded in either run"
    found = states(compared(plain, none))
    assert found["prediction"] == ("unknown", "no outputs were recorded in B")
    assert found["losses by step"][0] == "unknown"
    assert found["first forward"] == ("unknown", "no operation was captured in B")
    unknown = {"loss/0": plain.series["loss/0"], "rate/0": (math.nan,) * 9}
    rates = Recording(plain.facts, unknown, None)
    for a, b in ((plain, rates), (rates, rates)):
        assert states(compared(a, b))["learning rates by step"][0] == "unknown"


def test_a_shorter_run_is_equal_until_it_ends(plain):
    parts = compared(plain, train(epochs=2))
    assert said(parts).endswith("equal until the shorter one ends: A made 9 steps, B 6.")
    chart = next(block for block in parts["curves"].blocks if isinstance(block, Chart))
    assert [line.label for line in chart.lines] == ["A loop", "B loop"]
    assert chart.lines[0].values[:2] == chart.lines[1].values[:2]
    assert chart.lines[1].values[2] is None


def test_an_unfinished_run_is_compared_too(plain):
    killed = [fact for fact in plain.facts if not isinstance(fact, Ended)]
    parts = compared(plain, Recording(killed, plain.series, None))
    rows = {row[0]: row[1:] for row in parts["runs"].blocks[0].rows}
    assert rows["ended"][1] == "still running, or killed"


def test_a_run_that_evaluated_nothing_lends_no_numbers_of_its_loop(plain, dropout_run):
    parts = compared(plain, dropout_run)
    chart = next(block for block in parts["curves"].blocks if isinstance(block, Chart))
    assert [line.label for line in chart.lines] == [
        "A loop",
        "B loop",
        "B held-out",
    ]


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(RUNS, 2)))
def test_any_two_runs_have_a_page(one, two, request, words_of):
    parts = compared(request.getfixturevalue(one), request.getfixturevalue(two))
    told = [part for name, part in parts.items() if name != "source"]
    assert not re.search(r"\bNone\b|\bnan\b|\[\]", words_of(told))
    assert msgspec.json.encode(told)


def test_trainings_are_paired_in_their_order(folds_run):
    last = max(item.id for item in folds_run.all(Training))
    fewer = [fact for fact in folds_run.facts if getattr(fact, "training", None) != last
             and not (isinstance(fact, Training) and fact.id == last)]  # fmt: skip
    parts = compared(folds_run, Recording(fewer, folds_run.series, None))
    texts = [block.text for block in parts["curves"].blocks if isinstance(block, Text)]
    assert f"Training {last + 1} is in A only." in texts


def script(name: str, text: str, kept: bool = True) -> Recording:
    path = f"/home/ada/{name}"
    facts: list[Any] = [Provenance(name=name, origin="script", path=path, folder="/home/ada")]
    if kept:
        facts.append(SourceText(path=path, text=text))
    return Recording(facts, {}, None)


def test_lines_that_differ_are_shown_where_they_stand_in_each_file():
    lines = "".join(f"line {number}\n" for number in range(1, 41))
    pair = Pair(
        script("a.py", lines), script("b.py", lines.replace("line 20\n", "new\nother\n"))
    )  # fmt: skip
    finding = same_source(pair)
    assert (finding.equal, finding.words) == (False, "a.py and b.py, line 20")
    content = source(pair)
    assert content is not None
    ours, theirs = content.blocks
    assert isinstance(ours, Code)
    assert isinstance(theirs, Code)
    assert (ours.path, ours.first, ours.marks) == ("A: a.py", 18, (20,))
    assert (theirs.path, theirs.first, theirs.marks) == ("B: b.py", 18, (20, 21))
    assert theirs.text.split("\n")[2:4] == ["new", "other"]
    assert same_source(Pair(pair.a, pair.a)).equal is True
    assert same_source(Pair(pair.a, script("b.py", lines, kept=False))).equal is None
    other = source(Pair(pair.a, script("c.py", "nothing\nalike\n")))
    assert other is not None
    (text,) = other.blocks
    assert isinstance(text, Text)
    assert text.text.endswith("are equal; they are not shown line by line.")


def test_a_sample_is_told_as_a_sample():
    def tensor(mean: float) -> Tensor:
        return Tensor(shape=(900, 900), dtype="float32", count=65_536, exact=False, mean=mean)

    assert tensors(tensor(0.5), tensor(0.25)) == (
        "mean 0.5 against 0.25 (of 65,536 values, a sample)"
    )
    facts = [Model(id=0, type="Net", parameters=0, trainable=0, device="cpu"),
             Op(capture=0, index=0, function="relu", outputs=(tensor(0.5),)),
             Capture(id=0, model=0, purpose="training", training=True)]  # fmt: skip
    parts = compared(Recording(list(facts), {}, None), Recording(list(facts), {}, None))
    assert states(parts)["first forward"] == ("yes", "1 op, statistics from samples for 1 of them")
    assert "Of 1 op only a sample" in parts["stages"].blocks[-1].text


def test_thousands_of_ops_with_one_name_are_counted_off():
    ops = [Op(capture=0, index=index, function="add") for index in range(4_000)]
    paired = aligned(ops, ops[:-1])
    assert sum(one is not None and two is not None for one, two in paired) == 3_999
    assert paired[-1] == (ops[-1], None)


def test_a_difference_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, pipetrace.story.differences.page; print({'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
