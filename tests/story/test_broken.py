"""The first operation that made a NaN is named, with its module, its line and the count."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.blocks import Facts, Text
from pipetrace.records import NotFinite, Op
from pipetrace.story.broken import broken
from pipetrace.story.flow import flow
from pipetrace.story.insight import insight
from pipetrace.story.page import page


class Log(nn.Module):
    def forward(self, x):
        return torch.log(x)


def make() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), Log(), nn.Linear(4, 2))


def test_the_first_nan_is_a_notice_near_the_top(traced):
    recording = traced(make(), torch.randn(8, 4))
    (known,) = recording.all(NotFinite)
    content = broken(recording)
    text, facts = content.blocks
    assert isinstance(text, Text)
    assert text.tone == "bad"
    op = recording.all(Op)[1]
    assert text.text == (
        f"The first NaN of this forward came out of `log` of `1` (Log) at {op.called.file}:"
        f"{op.called.line}: {known.nans} NaN among 32 values, while none of its inputs had one."
    )
    assert isinstance(facts, Facts)
    assert [fact.value for fact in facts.facts] == [
        "8 × 4", "`return torch.log(x)`", "1 operation, 1 with such values",
    ]  # fmt: skip
    made = page(recording)
    ids = [section.id for section in made.sections]
    assert ids.index("finite") < ids.index("insight") < ids.index("flow")
    assert insight(recording).blocks[0].text == text.text


def test_its_stage_is_marked(traced):
    recording = traced(make(), torch.randn(8, 4))
    (known,) = recording.all(NotFinite)
    stages = flow(recording).blocks[0].stages
    assert [stage.tone for stage in stages] == ["plain", "plain", "bad", "warning"]
    (fact,) = (fact for fact in stages[2].facts if fact.label == "the first")
    assert fact.value == f"it made {known.nans} NaN among 32 values"


def test_an_infinity_is_called_one(traced):
    model = nn.Sequential(nn.Identity(), Log())
    content = broken(traced(model, torch.zeros(2, 4)))
    assert content.title == "The first infinity"
    assert "8 infinities among 8 values" in content.blocks[0].text


def test_a_nan_that_came_in_is_not_blamed_on_an_operation(traced):
    model = make()
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    recording = traced(model, torch.randn(8, 4))
    assert not recording.all(NotFinite)
    text = broken(recording).blocks[0].text
    assert text.startswith("3 of 3 operations of this forward have NaN in their output, the first")
    assert "none did, or it was not looked for" in text


def test_a_sound_forward_has_no_such_section(traced):
    assert broken(traced(nn.Linear(4, 2), torch.randn(8, 4))) is None
