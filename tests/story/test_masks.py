"""Masks are told wherever they are drawn: by rows, inside one operation, or not to be had."""

from __future__ import annotations

import msgspec
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.blocks import Stage
from pipetrace.records import Op
from pipetrace.story.flow import flow
from pipetrace.tracefile import Recording


def staged(recording: Recording) -> tuple[Stage, ...]:
    return flow(recording).blocks[0].stages


def told(stage: Stage) -> dict[str, str]:
    return {fact.label: f"{fact.value} | {fact.note}" for fact in stage.facts}


class Depth(nn.Module):
    """Stochastic depth as it is written by hand."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.shape = shape

    def forward(self, x):
        mask = x.new_empty(self.shape).bernoulli_(0.8).div_(0.8)
        return x + self.layer(x) * mask


def test_rows_that_are_dropped_whole_are_told_as_stochastic_depth(traced):
    torch.manual_seed(3)
    recording = traced(Depth((8, 1)), torch.randn(8, 4))
    (op,) = (op for op in recording.all(Op) if op.mask)
    stage = next(item for item in staged(recording) if item.name == "mul")
    assert stage.words.endswith(
        "A random mask: each row is set to 0 with probability 0.2; those that stay times 1.25."
    )
    facts = told(stage)
    assert facts["p"] == "0.2 | stochastic depth: rows are dropped whole"
    assert facts["mask"].startswith(f"kept {op.mask.kept} of 8 rows (")
    assert "at least 95 % of such masks keep" in facts["mask"]
    kept = op.mask.row[0]
    assert stage.strips[-1].struck == ((not kept,) * 4)


def test_one_draw_for_the_batch_is_told_as_that(traced):
    recording = traced(Depth((1, 1)), torch.randn(8, 4))
    facts = told(next(item for item in staged(recording) if item.name == "mul"))
    assert facts["p"] == "0.2 | one draw decides for the whole batch"


class Attention(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.25)


def test_a_mask_inside_attention_is_shown_beside_the_output_not_on_it(traced):
    recording = traced(Attention(), torch.randn(2, 3, 6, 8))
    (op,) = recording.all(Op)
    stage = staged(recording)[1]
    mask, out = stage.strips
    assert mask.label == "mask, row 0"
    assert mask.values == tuple(float(flag) for flag in op.mask.row)
    assert mask.struck == tuple(not flag for flag in op.mask.row)
    assert out.struck == ()
    facts = told(stage)
    assert facts["drops"].startswith("the attention weights")
    assert facts["mask"].startswith(f"kept {op.mask.kept} of {2 * 3 * 6 * 6} elements")
    assert facts["scale"] == "those kept are multiplied by 1.333 | "


def test_the_masks_of_an_lstm_are_told(traced):
    model = nn.LSTM(8, 8, 3, dropout=0.4, batch_first=True)
    stages = staged(traced(model, torch.randn(4, 5, 8)))
    stage = next(item for item in stages if item.name.lower() == "lstm")
    facts = told(stage)
    assert facts["drops"].startswith("the outputs of every layer but the last")
    assert "of 320 elements" in facts["mask"]
    assert facts["scale"].startswith("those kept are multiplied by 1.667")


class Varied(nn.Module):
    """A hand-written mask whose probability is another for each element."""

    def forward(self, x):
        return x * torch.bernoulli(torch.linspace(0.1, 0.9, x.shape[1]).expand_as(x))


def test_a_mask_that_cannot_be_had_is_told_with_the_reason(traced):
    recording = traced(Varied(), torch.randn(8, 4))
    (op,) = (op for op in recording.all(Op) if op.mask_missing)
    stage = staged(recording)[-1]
    assert told(stage)["mask"] == f"cannot be had: {op.mask_missing} | "
    assert not any(strip.struck for strip in stage.strips)


def test_a_mask_outside_its_interval_is_said_to_be_rare(traced):
    recording = traced(nn.Dropout(0.3), torch.randn(32, 20))
    facts = [
        msgspec.structs.replace(fact, mask=msgspec.structs.replace(fact.mask, kept=480))
        if isinstance(fact, Op)
        else fact
        for fact in recording.facts
    ]
    mask = told(staged(Recording(facts, {}, None))[1])["mask"]
    assert mask.endswith("this one is outside, as at most 1 in 20 masks is")
