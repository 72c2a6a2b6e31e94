"""Provenance, insight, prediction, failure, notices and source quote their records."""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch import nn

from pipetrace.blocks import Bars, Check, Checks, Code, Facts, Flow, Table, Text
from pipetrace.records import (
    Capture,
    Ended,
    Failure,
    Op,
    Place,
    Prediction,
    Probe,
    Provenance,
    Receipt,
    SourceText,
)
from pipetrace.records import Check as Checked
from pipetrace.story.failure import failure
from pipetrace.story.insight import insight
from pipetrace.story.notices import notices
from pipetrace.story.page import page
from pipetrace.story.prediction import prediction
from pipetrace.story.provenance import provenance
from pipetrace.story.source import source
from pipetrace.tracefile import Recording


def receipts(*found: Receipt) -> list[Check]:
    captures = [
        Capture(id=index, model=0, purpose="training", training=True, step=index, receipt=receipt)
        for index, receipt in enumerate(found)
    ]
    content = provenance(Recording(list(captures), {}, None))
    assert content is not None
    return [
        check for block in content.blocks if isinstance(block, Checks) for check in block.checks
    ]


def sentence(recording: Recording) -> str:
    content = insight(recording)
    assert content is not None
    (block,) = content.blocks
    assert isinstance(block, Text)
    assert block.tone == "key"
    return block.text


def test_the_receipt_of_equal_forwards_is_one_line(dropout_run, section_of):
    block = section_of(page(dropout_run), "provenance").blocks[-1]
    assert isinstance(block, Checks)
    assert [check.label for check in block.checks] == [
        "2 of 2 traced forwards gave the plain forward's output, bit for bit",
        "RNG streams left as found",
        "modes left as found",
        "buffers left as found",
        "gradients left as found",
    ]
    assert {check.state for check in block.checks} == {"yes"}
    assert block.checks[0].detail == "99 output values compared"


@pytest.mark.parametrize(
    ("repeats", "words"),
    [
        (True, "a plain repeat equals the original: tracing changed it"),
        (False, "the forward does not repeat itself: a plain repeat differs from the original too"),
        (None, "no plain repeat was made"),
    ],
)
def test_an_unequal_forward_is_told_by_its_difference_and_its_repeat(repeats, words):
    unequal = Receipt(equal=False, difference=1.25e-7, repeats=repeats, elements=96)
    first, second = receipts(Receipt(equal=True, elements=96), unequal)
    assert first.label.startswith("1 of 2 traced forwards gave")
    assert (second.state, second.detail) == ("no", f"largest difference 1.250e-7; {words}")
    assert second.label.startswith("The training forward after 1 step: its traced replay differs")


def test_what_was_not_left_as_found_names_the_capture():
    bad = Receipt(equal=True, checks=(Checked("buffers", False, "1.running_mean"),))
    good = Receipt(equal=True, checks=(Checked("buffers", True, "2 buffers"),))
    unknown = Receipt(equal=None, checks=(Checked("buffers", None, "no buffers"),))
    assert receipts(good, bad)[-1] == Check(
        label="buffers left as found", state="no", detail="capture 1: 1.running_mean"
    )
    assert receipts(unknown)[-1].state == "unknown"
    assert receipts(unknown)[0].state == "unknown"


def test_equal_models_are_counted_not_repeated(folds_run, section_of):
    facts = section_of(page(folds_run), "provenance").blocks[0]
    assert isinstance(facts, Facts)
    models = [fact.value for fact in facts.facts if fact.label == "model"]
    assert models == ["3 × Sequential, 243 parameters on cpu"]


def test_the_insight_of_the_seed_is_one_sentence_of_its_own_numbers(dropout_run):
    text = sentence(dropout_run)
    probe = dropout_run.all(Probe)[-1]
    (mask,) = (op.mask for op in dropout_run.all(Op) if op.mask)
    assert text.startswith(
        f"At the weights of epoch 5, on the same 1000 rows, dropout raised the loss from "
        f"{probe.off.loss:.3f} to {probe.on.loss:.3f} (mean of 4 masks, "
    )
    dropped = mask.total - mask.kept
    assert f"dropped {dropped} of 640 elements, {dropped / 640 * 100:.1f} % against p = 0.3" in text
    assert f"{640 - mask.high} to {640 - mask.low}" in text
    assert text.count(". ") == 0
    assert text.endswith(".")


def test_the_insight_says_where_masks_differ_more_than_on_and_off(dropout_run):
    facts = [
        msgspec.structs.replace(fact, on_low=0.0, on_high=9.0) if isinstance(fact, Probe) else fact
        for fact in dropout_run.facts
    ]
    text = sentence(Recording(facts, {}, None))
    assert "dropout changed the loss by less than one mask differs from another" in text


def test_the_insight_of_other_runs(regression_run, failed_run, big_run, table_run):
    assert sentence(regression_run).startswith(
        "From the end of epoch 1 to the end of epoch 4 the loss of the same 192 training rows in "
        "eval mode went from "
    )
    assert sentence(failed_run) == (
        "The program stopped with RuntimeError in `linear` of `2` (Linear) at line 12."
    )
    assert sentence(big_run).startswith("The 16 masks of this forward dropped ")
    assert sentence(table_run) == (
        "One forward of `Sequential` with 8 parameters in train mode ran 1 operation."
    )


def test_held_out_against_training_rows_without_dropout(dropout_run):
    facts = [
        msgspec.structs.replace(fact, masks=0) if isinstance(fact, Probe) else fact
        for fact in dropout_run.facts
        if not (isinstance(fact, Op) and fact.mask)
    ]
    text = sentence(Recording(facts, {}, None))
    assert text.startswith("After 5 epochs the held-out loss is ")
    assert "on 1000 training rows at the same weights (accuracy " in text


def test_the_prediction_of_the_seed(dropout_run, section_of, stages_of):
    section = section_of(page(dropout_run), "prediction")
    told = dropout_run.all(Prediction)[0]
    assert section.title == "Prediction trace, 5 layers"
    assert section.intro == (
        "Sample 0, held out from training, through the trained model in eval mode."
    )
    stages = stages_of(section)
    assert stages[1].mode == "eval mode"
    assert stages[1].words == (
        "Switched off: the input passes unchanged. p = 0.3 has no effect here."
    )
    assert stages[1].strips[0].values == stages[0].strips[0].values
    assert stages[4].strips[0].values == pytest.approx(told.scores)
    bars = next(block for block in section.blocks if isinstance(block, Bars))
    assert sum(bar.share for bar in bars.bars) == pytest.approx(1, abs=1e-6)
    marked = [index for index, bar in enumerate(bars.bars) if "predicted" in bar.mark]
    assert marked == [told.predicted]
    assert "true" in bars.bars[int(told.truth or 0)].mark
    checks = next(block for block in section.blocks if isinstance(block, Checks))
    assert checks.checks[0].state == "yes"
    assert "differs from it by up to" in section.blocks[-1].text


def test_a_wrong_prediction_says_what_the_truth_got():
    told = Prediction(
        capture=0, sample=3, task="classes", heldout=None, scores=(1.0, 0.0),
        probabilities=(0.731, 0.269), predicted=0, truth=1.0,
    )  # fmt: skip
    content = prediction(Recording([told], {}, None))
    assert content is not None
    assert (
        Text(
            text="Predicted: class 0, with probability 0.731; the true class is class 1, "
            "which got 0.269.",
            tone="warning",
        )
        in content.blocks
    )


def test_one_binary_output_stands_for_two_classes():
    told = Prediction(
        capture=0, sample=3, task="binary", heldout=True, scores=(1.0,),
        probabilities=(0.731,), predicted=1, truth=0.0,
    )  # fmt: skip
    content = prediction(Recording([told], {}, None))
    assert content is not None
    bars, verdict, *_ = content.blocks
    assert isinstance(bars, Bars)
    assert [(bar.label, bar.value, bar.mark) for bar in bars.bars] == [
        ("class 0", "0.269", "true"),
        ("class 1", "0.731", "predicted"),
    ]
    assert bars.title == "Probabilities (sigmoid of the output)"
    assert "the true class is class 0, which got 0.269" in verdict.text


def test_several_binary_outputs_are_each_a_probability():
    told = Prediction(
        capture=0, sample=0, task="binary", heldout=True, scores=(1.0, 0.0, -1.0),
        probabilities=(0.731, 0.5, 0.269),
    )  # fmt: skip
    content = prediction(Recording([told], {}, None))
    assert content is not None
    assert [bar.share for bar in content.blocks[0].bars] == [0.731, 0.5, 0.269]


def test_many_classes_are_cut_but_the_truth_is_kept():
    shares = tuple(float(share) for share in torch.arange(100.0).softmax(0))
    told = Prediction(
        capture=0, sample=0, task="classes", heldout=True, scores=(), probabilities=shares,
        predicted=99, truth=4.0,
    )  # fmt: skip
    content = prediction(Recording([told], {}, None))
    assert content is not None
    bars = content.blocks[0]
    assert isinstance(bars, Bars)
    assert len(bars.bars) == 11
    assert bars.bars[-1].mark == "true"
    assert bars.title == "Probabilities (softmax of the output, 11 of 100 classes)"


def test_a_value_is_compared_with_the_truth(regression_run, section_of):
    section = section_of(page(regression_run), "prediction")
    facts = next(block for block in section.blocks if isinstance(block, Facts))
    told = regression_run.all(Prediction)[0]
    assert [fact.label for fact in facts.facts] == ["predicted", "truth", "error"]
    assert float(facts.facts[0].value) == pytest.approx(told.scores[0], rel=1e-3)
    side = "above" if told.scores[0] > (told.truth or 0) else "below"
    assert facts.facts[2].value.endswith(f"{side} the truth")


def test_a_failure_tells_the_users_own_lines(failed_run, section_of):
    section = section_of(page(failed_run), "failure")
    text, facts, table = section.blocks
    assert text.text.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert [fact.value for fact in facts.facts] == [
        "`linear`",
        "`2` (Linear)",
        "input 8 × 10, weight 3 × 16",
    ]
    assert isinstance(table, Table)
    assert table.rows == (("wrong.py:12", "main", "out = model(x)"),)


def test_a_late_failure_shows_the_forward_that_failed(record_forward):
    good = record_forward(nn.Linear(4, 2), torch.randn(3, 4))
    bad = Capture(id=7, model=0, purpose="failure", training=True, step=40, complete=False)
    told = Failure(type="ValueError", message="odd", frames=(Place("/a.py", 1),))
    content = failure(Recording([*good, bad, told], {}, None))
    assert content is not None
    assert Text(text="The forward that failed, after 40 steps:", tone="muted") in content.blocks
    last = content.blocks[-1]
    assert isinstance(last, Flow)
    assert last.stages[-1].words == "Failed with ValueError: odd"


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (None, "The recording has no end"),
        (Ended(status="interrupted", seconds=2.0), "interrupted after 2.0 s"),
        (Ended(status="stopped", seconds=2.0), "--steps ended the program after 2.0 s"),
    ],
)
def test_an_early_end_is_said(ended, words, words_of):
    origin = Provenance(name="a.py", origin="script")
    content = notices(Recording([origin, *([ended] if ended else [])], {}, None))
    assert content is not None
    assert words in words_of(content.blocks)
    assert "No forward of an nn.Module was seen; `a.py` ran" in words_of(content.blocks)


def test_what_recording_cost_is_said(dropout_run, words_of):
    content = notices(dropout_run)
    assert content is not None
    assert "70 ms, during and after the 1.9 s" in words_of(content.blocks)


def test_source_marks_the_lines_that_made_and_called():
    op = Op(capture=0, index=0, function="relu", called=Place("/home/ada/a.py", 2))
    text = SourceText(path="/home/ada/a.py", text="x = 1\ny = relu(x)\n")
    origin = Provenance(name="a.py", origin="script", folder="/home/ada")
    content = source(Recording([origin, text, op], {}, None))
    assert content is not None
    assert content.blocks == (Code(text=text.text, path="a.py", marks=(2,)),)


@pytest.mark.parametrize("rates", [(0.2, 0.5), (0.3, 0.3)])
def test_masks_of_one_p_and_unit_alone_are_pooled(traced, rates):
    torch.manual_seed(1)
    layers = nn.Dropout(rates[0]), nn.Dropout(rates[1])
    recording = traced(nn.Sequential(*layers), torch.randn(16, 20))
    masks = [op.mask for op in recording.all(Op)]
    assert all(mask.low <= mask.kept <= mask.high for mask in masks)
    text = sentence(recording)
    if rates[0] == rates[1]:
        share = (640 - sum(mask.kept for mask in masks)) / 640
        assert text.startswith(
            f"The 2 masks of this forward dropped {share * 100:.1f} % of 640 elements against "
            "p = 0.3, and 2 of the 2 kept "
        )
        return
    assert text == (
        "2 of the 2 masks of this forward kept a number inside the range that at least 95 % of "
        "such masks keep."
    )
    facts = [
        msgspec.structs.replace(fact, mask=msgspec.structs.replace(fact.mask, kept=0))
        if isinstance(fact, Op) and fact.index == 0
        else fact
        for fact in recording.facts
    ]
    assert sentence(Recording(facts, {}, None)) == (
        "1 of the 2 masks of this forward kept a number inside the range that at least 95 % of "
        "such masks keep; 1 outside, as at most 1 in 20 is."
    )


def test_masks_of_channels_and_of_elements_are_not_added_up(traced):
    model = nn.Sequential(nn.Dropout2d(0.5), nn.Dropout(0.5))
    text = sentence(traced(model, torch.randn(4, 8, 3, 3)))
    assert "of the 2 masks of this forward kept a number inside the range" in text
    assert "together" not in text
    assert "dropped" not in text
