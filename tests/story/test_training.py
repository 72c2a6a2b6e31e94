"""The training trace: what each number is of, what was not measured, what is observed."""

from __future__ import annotations

import statistics
from array import array

import msgspec
import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.blocks import Chart, Remarks, Table, Text
from pipetrace.records import Epoch, Evaluation, Model, ModulePart, Probe, Score, Training
from pipetrace.story.epochs import traces
from pipetrace.story.observations import OBSERVATIONS, Sight, observe
from pipetrace.story.page import page
from pipetrace.story.training import training
from pipetrace.tracefile import Recording

NAN = float("nan")


def made(
    losses, *, accuracies=None, held=(), offs=(), ons=(), rates=(), task="classes", classes=3,
    held_accuracies=None, seen=0.0,
) -> Recording:  # fmt: skip
    """State the epochs of a training whose losses are given."""
    name = "cross_entropy" if task == "classes" else "mse_loss"
    facts = [Training(id=0, model=0, optimizer="SGD", loss=name, task=task)]
    for index, loss in enumerate(losses, 1):
        at = index - 1
        facts.append(
            Epoch(
                training=0, index=index, rule="passes of the data loader", steps=32,
                score=Score(rows=1000, loss=loss, accuracy=accuracies[at] if accuracies else None),
                rates=(rates[at],) if rates else (0.1,), mode=True,
            )
        )  # fmt: skip
        if offs:
            on = Score(rows=1000, loss=ons[at] if ons else offs[at])
            facts.append(
                Probe(
                    training=0, epoch=index, masks=8 if ons else 0, on=on,
                    off=Score(rows=1000, loss=offs[at]),
                )
            )  # fmt: skip
        if held:
            score = Score(
                rows=500, loss=held[at], accuracy=held_accuracies[at] if held_accuracies else None
            )
            facts.append(
                Evaluation(
                    training=0, epoch=index, index=at, score=score, forwards=1, mode=False,
                    seen=seen,
                )
            )  # fmt: skip
    if ons:
        part = ModulePart(path="0", type="Dropout")
        facts.append(
            Model(id=0, type="Net", parameters=1, trainable=1, device="cpu", modules=(part,))
        )
    if classes and task == "classes":
        from pipetrace.records import Capture, Tensor

        out = Tensor(shape=(32, classes), dtype="float32")
        facts.append(
            Capture(id=0, model=0, purpose="training", training=True, outputs=(("output", out),))
        )
    return Recording(facts, {}, None)


def scattered(losses: list[float], spread: float) -> Recording:
    """State epochs whose 32 steps lie as far above the mean as below it."""
    recording = made(losses)
    steps = [loss + spread * (-1) ** step for loss in losses for step in range(32)]
    recording.series["loss/0"] = array("d", steps)
    return recording


def remarks(recording: Recording):
    return observe(traces(recording)[0])


def only(kind, recording: Recording):
    content = training(recording)
    assert content is not None
    return next(block for block in content.blocks if isinstance(block, kind))


def test_the_seed_table_holds_the_records_numbers(dropout_run, section_of):
    section = section_of(page(dropout_run), "training")
    assert section.title == "Training trace, 5 epochs"
    losses, accuracies, chart, whole, told = section.blocks[:5]
    for table, field in ((losses, "loss"), (accuracies, "accuracy")):
        assert isinstance(table, Table)
        assert table.caption == field.capitalize()
        assert [head.label for head in table.heads] == [
            "epoch", "loop", "dropout on", "dropout off", "held-out",
        ]  # fmt: skip
        for row, epoch, probe, evaluation in zip(
            table.rows, dropout_run.all(Epoch), dropout_run.all(Probe),
            dropout_run.all(Evaluation), strict=True,
        ):  # fmt: skip
            scores = (epoch.score, probe.on, probe.off, evaluation.score)
            numbers = [getattr(score, field) for score in scores]
            assert [float(cell) for cell in row[1:]] == pytest.approx(numbers, abs=5e-4)
    assert isinstance(chart, Chart)
    assert [line.label for line in chart.lines] == ["loop", "dropout on", "dropout off", "held-out"]
    assert chart.lines[2].values == tuple(probe.off.loss for probe in dropout_run.all(Probe))
    assert chart.x == (1, 2, 3, 4, 5)
    assert isinstance(whole, Remarks)
    assert isinstance(told, Remarks)
    assert (whole.title, told.title) == ("On the whole training", "Epoch by epoch")
    assert all(remark.id > "OBS200" for remark in whole.remarks)
    assert [remark.where for remark in told.remarks] == [f"epoch {n}" for n in range(1, 6)]


def test_each_column_says_what_it_is_of(dropout_run, section_of):
    table = section_of(page(dropout_run), "training").blocks[0]
    notes = {head.label: head.note for head in table.heads if head.note}
    assert notes == {
        "loop": "the loop's own mean, in train mode, over weights that change with every step",
        "dropout on": "1000 fixed training rows at the epoch's last "
        "weights, dropout on, mean of 4 masks",
        "dropout off": "1000 fixed training rows at the epoch's last weights, dropout off",
        "held-out": "rows evaluated by the script, none of them equal to a row trained on; "
        "eval mode",
    }


def test_a_regression_has_no_accuracy_and_says_what_is_missing(regression_run, section_of):
    section = section_of(page(regression_run), "training")
    table = section.blocks[0]
    assert [head.label for head in table.heads] == ["epoch", "loop loss", "fixed rows loss"]
    assert section.blocks[-1] == Text(
        text="Not measured: held-out data (the script evaluated none). Accuracy does not apply: "
        "the loss compares values, not classes.",
        tone="muted",
    )


def test_an_evaluation_is_called_held_out_only_where_that_is_known():
    for seen, label in (
        (0.0, "held-out"), (None, "evaluation"), (0.02, "evaluation"), (0.8, "seen rows"),
    ):  # fmt: skip
        table = only(Table, made([1.0, 0.9], held=[1.1, 1.0], seen=seen))
        assert table.heads[2].label == f"{label} loss"


def test_evaluations_of_one_pass_are_one_column_although_only_some_were_checked():
    facts = made([1.0, 0.9, 0.8], held=[1.1, 1.0, 0.9], seen=0.0).facts
    facts = [
        msgspec.structs.replace(fact, seen=None)
        if isinstance(fact, Evaluation) and fact.epoch > 1
        else fact
        for fact in facts
    ]
    table = only(Table, Recording(facts, {}, None))
    assert [head.label for head in table.heads] == ["epoch", "loop loss", "held-out loss"]
    assert table.heads[2].note == (
        "rows evaluated by the script, none of them equal to a row trained on, as far as checked "
        "(1 of 3 times); eval mode"
    )


def test_an_evaluation_that_was_looked_at_in_vain_is_not_called_held_out_for_another():
    facts = made([1.0, 0.9, 0.8], held=[1.1, 1.0, 0.9], seen=0.0).facts
    facts = [
        msgspec.structs.replace(fact, seen=None)
        if isinstance(fact, Evaluation) and fact.epoch == 1
        else fact
        for fact in facts
    ]
    table = only(Table, Recording(facts, {}, None))
    assert "evaluation loss" in [head.label for head in table.heads]


def test_a_test_set_evaluated_after_the_last_epoch_is_no_part_of_the_held_out_series():
    facts = made([1.0, 0.9], held=[1.1, 1.0], seen=0.0).facts
    last = next(fact for fact in reversed(facts) if isinstance(fact, Evaluation))
    test = msgspec.structs.replace(last, index=last.index + 1, score=Score(rows=40, loss=3.0))
    recording = Recording([*facts, test], {}, None)
    (trace,) = traces(recording)
    assert trace.held == "held-out"
    assert [row.scores["held-out"].loss for row in trace.rows] == [1.1, 1.0]
    assert trace.rows[-1].scores["held-out 2"].loss == 3.0
    assert "without a step in between" in trace.notes["held-out 2"]


def test_rows_that_seldom_come_again_are_not_called_held_out():
    for again, label in ((1.0, "held-out"), (0.001, "evaluation"), (0.0, "evaluation")):
        facts = [
            msgspec.structs.replace(fact, repeated=again)
            if isinstance(fact, Epoch) and fact.index == 2
            else fact
            for fact in made([1.0, 0.9], held=[1.1, 1.0], seen=0.0).facts
        ]
        assert only(Table, Recording(facts, {}, None)).heads[2].label == f"{label} loss"


def test_a_wide_table_is_cut_into_loss_and_accuracy():
    recording = made(
        [1.0, 0.9], accuracies=[0.4, 0.5], held=[1.0, 0.9], held_accuracies=[0.4, 0.5],
        offs=[0.9, 0.8], ons=[1.0, 0.9], rates=[0.1, 0.05],
    )  # fmt: skip
    facts = [
        msgspec.structs.replace(
            fact,
            on=msgspec.structs.replace(fact.on, accuracy=0.5),
            off=msgspec.structs.replace(fact.off, accuracy=0.6),
        )
        if isinstance(fact, Probe)
        else fact
        for fact in recording.facts
    ]
    content = training(Recording(facts, {}, None))
    assert content is not None
    losses, accuracies = (block for block in content.blocks if isinstance(block, Table))
    assert [head.label for head in losses.heads] == [
        "epoch", "loop", "dropout on", "dropout off", "held-out", "learning rate",
    ]  # fmt: skip
    assert losses.heads[-1].note == "of the epoch's last step"
    assert [head.label for head in accuracies.heads] == [
        "epoch", "loop", "dropout on", "dropout off", "held-out",
    ]  # fmt: skip


def test_folds_have_a_summary_and_a_table_each(folds_run, section_of):
    section = section_of(page(folds_run), "training")
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert section.title == "Training trace, 3 trainings"
    assert [table.caption for table in tables] == [
        "Each training's last epoch; spread: standard deviation over the trainings",
        *(
            f"Training {number} of 3 by SGD, 2 epochs: {field}"
            for number in (1, 2, 3)
            for field in ("loss", "accuracy")
        ),
    ]
    *folds, mean, spread = tables[0].rows
    assert (len(folds), mean[0], spread[0]) == (3, "mean", "spread")
    for column in (4, 5, 6):
        values = [float(row[column]) for row in folds]
        assert float(mean[column]) == pytest.approx(statistics.mean(values), abs=1e-3)
        assert float(spread[column]) == pytest.approx(statistics.stdev(values), abs=1e-3)


def test_layers_and_functions_stand_in_the_order_of_a_forward():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(6, 2), nn.Linear(4, 6)

        def forward(self, x):
            return self.last(torch.relu(self.first(torch.relu(x))))

    with pt.record() as run:
        model = Late()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            for batch in torch.randn(64, 4).split(8):
                loss = nn.functional.cross_entropy(model(batch), torch.zeros(8, dtype=torch.long))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    content = training(run.recording)
    assert content is not None
    table = [block for block in content.blocks if isinstance(block, Table)][-1]
    assert [row[0] for row in table.rows] == ["relu", "first Linear", "relu", "last Linear"]
    assert " of 4" in table.rows[0][-1]
    assert " of 6" in table.rows[2][-1]


def test_a_long_training_is_thinned_but_its_chart_is_whole():
    losses = [2 - index / 200 for index in range(200)]
    held = [abs(index - 123) / 100 + 1 for index in range(200)]
    recording = made(losses, held=held)
    table = only(Table, recording)
    shown = [int(row[0]) for row in table.rows]
    assert shown[0] == 1
    assert shown[-1] == 200
    assert 124 in shown
    assert len(shown) <= 22
    assert table.caption == (
        f"{len(shown)} of 200 epochs; the lowest held-out loss is in epoch 124"
    )
    assert len(only(Chart, recording).x) == 200
    assert len(only(Remarks, recording).remarks) <= 60


def test_a_changing_learning_rate_is_a_column_and_a_constant_one_a_sentence():
    changing = only(Table, made([1.0, 0.9], rates=[0.1, 0.01]))
    assert [row[-1] for row in changing.rows] == ["0.1", "0.01"]
    constant = training(made([1.0, 0.9]))
    assert constant is not None
    assert any(
        isinstance(block, Text) and block.text.startswith("Learning rate 0.1 throughout")
        for block in constant.blocks
    )


def test_an_epoch_without_a_loss_is_a_gap():
    recording = made([None, None], task="")
    assert only(Table, recording).heads[0].label == "epoch"
    text = "32 steps; no loss was measured."
    assert [remark.text for remark in remarks(recording)] == [text, text]


CASES = {
    "OBS101": (made([1.0, NAN]), "The loop's mean loss is NaN; it was 1.000 in the epoch before."),
    "OBS102": (
        made([1.0, 2.5]),
        "The loop's mean loss rose from 1.000 to 2.500 (2.50 times as high).",
    ),
    "OBS103": (
        made([1.0, 0.9], held=[1.0, 1.1], offs=[0.9, 0.8]),
        "Held-out loss rose from 1.000 to 1.100 (10.0 % higher) while the loss on training rows "
        "in eval mode fell from 0.900 to 0.800 (11.1 % lower).",
    ),
    "OBS104": (
        made([1.1, 1.09], held=[1.1, 1.1], held_accuracies=[0.33, 0.34]),
        "Accuracy 0.340 on 500 held-out rows is what guessing evenly among 3 classes gives as "
        "well (95 %: 0.292 to 0.375).",
    ),
    "OBS105": (
        made([1.0, 0.9], rates=[0.1, 0.01]),
        "The learning rate went from 0.1 to 0.01; the loop's mean loss went from 1.000 to 0.900 "
        "(10.0 % lower).",
    ),
    "OBS106": (
        made([1.012], accuracies=[0.5]),
        "Mean loss 1.012, accuracy 0.500 over 32 steps of the first epoch; guessing evenly among "
        "3 classes has loss ln 3 = 1.099.",
    ),
    "OBS107": (
        made([1.0, 0.9], offs=[0.9, 0.8], ons=[0.95, 0.9]),
        "Same weights, same 1000 rows: loss 0.800 with dropout off, 0.900 with it on (8 masks; "
        "12.5 % higher).",
    ),
    "OBS108": (
        made([1.0, 0.9], held=[1.0, 0.8]),
        "Held-out loss 0.800: the lowest so far (before: 1.000).",
    ),
    "OBS109": (
        made([0.4301, 0.4298]),
        "The loop's mean loss changed by 0.1 %: from 0.4301 to 0.4298.",
    ),
    "OBS118": (
        scattered([1.0, 1.02], 0.1),
        "The loop's mean loss rose from 1.000 to 1.020 (2.0 % higher): less than twice the "
        "standard error of that change (twice it is 0.05080).",
    ),
    "OBS110": (made([1.0, 1.2]), "The loop's mean loss rose from 1.000 to 1.200 (20.0 % higher)."),
    "OBS111": (
        made([1.0, 0.5], accuracies=[0.4, 0.7]),
        "The loop's mean loss fell from 1.000 to 0.500 (50.0 % lower); its accuracy went from "
        "0.400 to 0.700.",
    ),
    "OBS199": (made([None], task=""), "32 steps; no loss was measured."),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_with_its_numbers(rule):
    recording, text = CASES[rule]
    last = remarks(recording)[-1]
    assert (last.id, last.text) == (rule, text)


ELSEWHERE = {"OBS112", "OBS113", "OBS114"}
"""Rules with cases in test_observations.py."""


def test_every_rule_has_a_case_and_an_id_of_its_own():
    assert sorted(entry.id for entry in OBSERVATIONS) == sorted({*CASES, *ELSEWHERE})
    assert all(entry.rule.__doc__ for entry in OBSERVATIONS)


SILENT = {
    "OBS101": made([1.0, 0.5]),
    "OBS102": made([1.0, 1.9]),
    "OBS103": made([1.0, 0.9], held=[1.0, 1.1], offs=[0.9, 0.8], seen=1.0),
    "OBS104": made([1.1, 1.09], held=[1.1, 1.1], held_accuracies=[0.33, 0.40]),
    "OBS105": made([1.0, 0.9], rates=[0.1, 0.099]),
    "OBS106": made([1.0, 0.9]),
    "OBS107": made([1.0, 0.9], offs=[0.9, 0.8]),
    "OBS108": made([1.0, 0.9], held=[0.8, 0.81]),
    "OBS109": made([1.0, 0.98]),
    "OBS118": scattered([1.0, 1.02], 0.01),
    "OBS110": scattered([1.0, 1.2], 1.0),
    "OBS111": made([1.0, 0.995]),
}


@pytest.mark.parametrize("rule", SILENT)
def test_a_rule_is_silent_on_its_near_miss(rule):
    (entry,) = (entry for entry in OBSERVATIONS if entry.id == rule)
    trace = traces(SILENT[rule])[0]
    before, now = trace.epochs
    best = min((s.loss for r in trace.rows[:1] for s in r.scores.values()), default=None)
    assert entry.rule(Sight(trace, now, before, best)) == ""


@pytest.mark.parametrize("rule", SILENT)
def test_the_same_call_speaks_on_the_case_of_the_rule(rule):
    (entry,) = (entry for entry in OBSERVATIONS if entry.id == rule)
    trace = traces(CASES[rule][0])[0]
    *before, now = trace.epochs
    best = min((s.loss for r in before for s in r.scores.values()), default=None)
    assert entry.rule(Sight(trace, now, before[-1] if before else None, best)) == CASES[rule][1]


def test_a_plain_rule_gives_way_to_another_with_something_to_say():
    recording = made([1.0, 0.9, 0.8, 0.7], offs=[0.9, 0.8, 0.7, 0.6], ons=[1.0, 0.9, 0.8, 0.7])
    assert [remark.id for remark in remarks(recording)] == ["OBS106", "OBS107", "OBS111", "OBS107"]


def test_a_rule_repeats_itself_where_no_other_speaks():
    assert [remark.id for remark in remarks(made([1.0, 0.9, 0.8]))] == [
        "OBS106", "OBS111", "OBS111",
    ]  # fmt: skip


def test_no_observation_claims_a_cause(dropout_run, folds_run):
    for recording in (dropout_run, folds_run, *(case for case, _ in CASES.values())):
        for trace in traces(recording):
            for remark in observe(trace):
                words = remark.text.lower()
                assert not any(word in words for word in ("because", "due to", "overfit", "since"))


def test_a_training_of_5000_epochs_has_an_observation_for_each():
    remarked = remarks(made([1 + 1 / (index + 1) for index in range(5_000)], held=[1.0] * 5_000))
    assert len(remarked) == 5_000
