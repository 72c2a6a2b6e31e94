"""A dropout that `model.eval()` leaves on is named first, and no column is called without it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.blocks import Chart, Table, Text
from pipetrace.capture.models import inventory
from pipetrace.capture.replay import other_mode, prepare, replay
from pipetrace.examples import dropout as example
from pipetrace.records import Contrast, Op, Training
from pipetrace.story.contrast import contrast
from pipetrace.story.epochs import traces
from pipetrace.story.insight import insight
from pipetrace.story.observations import observe
from pipetrace.story.training import training
from pipetrace.tracefile import Recording


class Forgetful(nn.Module):
    """It calls dropout without telling it the mode."""

    def forward(self, x):
        return F.dropout(x, 0.5)


class Restless(nn.Module):
    """Its noise is no dropout."""

    def forward(self, x):
        return x + torch.randn_like(x)


class Net(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = inner

    def forward(self, x):
        return self.b(self.a(x))


@pytest.fixture(scope="module")
def forgetful_run(train_for_real) -> Recording:
    """A training with a dropout that `model.eval()` does not switch off, played in both modes."""
    data = example.make_rows(0)
    torch.manual_seed(6)
    model = nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 10), Forgetful(), nn.Linear(10, 3))
    call = prepare(model, (data[0][:32],), {})
    played = replay(call, id=0, model_id=0, purpose="training", original=model(data[0][:32]))
    compared = other_mode(call, played, 0)
    made = Training(id=0, model=0, optimizer="SGD", loss="cross_entropy", task="classes")
    epochs = train_for_real(model, data, F.cross_entropy, made, 3)
    return Recording([inventory(model, 0), *played.facts, *compared, *epochs], {}, None)


def told(recording) -> list[Text]:
    return [block for block in contrast(recording).blocks if isinstance(block, Text)]


def test_a_dropout_that_eval_leaves_on_is_the_first_thing_said(traced):
    recording = traced(Net(Forgetful()), torch.randn(8, 4), both_modes=True)
    assert recording.all(Contrast)[0].drawing == (1,)
    op = recording.all(Op)[1]
    warning, rest = told(recording)
    assert warning.tone == "warning"
    assert warning.text == (
        "1 operation draws random numbers in eval mode too: `dropout` in `b` (p = 0.5), "
        f"{op.called.file}:{op.called.line}. `model.eval()` does not switch it off."
    )
    assert rest.tone == "plain"
    assert rest.text.startswith("0 of 2 operations differ between train and eval mode; but both ")
    assert rest.text.endswith("two calls of the model may well differ.")
    assert insight(recording).blocks[0].text.endswith(warning.text)


def test_noise_that_is_no_dropout_is_named_without_a_rate(traced):
    model = nn.Sequential(Restless(), *(Forgetful() for _ in range(4)))
    warning, _ = told(traced(model, torch.randn(8, 4), both_modes=True))
    assert warning.text.startswith(
        "5 operations draw random numbers in eval mode too: `randn_like` in `0`, "
    )
    assert warning.text.endswith("; 2 more. `model.eval()` does not switch them off.")


def test_a_module_left_in_train_mode_is_not_blamed_on_eval(traced):
    model = Net(nn.Dropout(0.25)).eval()
    model.b.train()
    warning, _ = told(traced(model, torch.randn(8, 4), both_modes=True))
    assert "`dropout` in `b` (p = 0.25)" in warning.text
    assert warning.text.endswith(
        "The module around it is in train mode although the model is in eval mode."
    )


def test_a_model_that_eval_silences_has_no_warning(traced):
    recording = traced(Net(nn.Dropout(0.25)), torch.randn(8, 4), both_modes=True)
    (text,) = told(recording)
    assert text.tone == "key"
    assert "eval mode too" not in insight(recording).blocks[0].text


def test_no_column_is_called_off_where_a_dropout_stayed_on(forgetful_run, words_of):
    content = training(forgetful_run)
    table = next(block for block in content.blocks if isinstance(block, Table))
    heads = {head.label: head.note for head in table.heads}
    assert "eval mode" in heads
    assert re.fullmatch(
        r"1000 fixed training rows at the epoch's last weights, eval mode; what draws in eval mode "
        r"too stayed on: `dropout` in `2` \(p = 0\.5\), .+:\d+",
        heads["eval mode"],
    )
    chart = next(block for block in content.blocks if isinstance(block, Chart))
    labels = ["loop", "train mode", "eval mode", "held-out"]
    assert [line.label for line in chart.lines] == labels
    (warning,) = (
        block for block in content.blocks if isinstance(block, Text) and block.tone == "warning"
    )
    assert warning.text.startswith(
        "Stayed on in both the train and the eval column: `dropout` in `2` (p = 0.5), "
    )
    assert "dropout off" not in words_of(content.blocks)


def test_no_observation_claims_an_effect_of_a_dropout_that_stayed_on(forgetful_run, dropout_run):
    (trace,) = traces(forgetful_run)
    assert trace.random
    assert trace.drops
    assert "OBS107" not in {remark.id for remark in observe(trace)}
    assert "OBS107" in {remark.id for remark in observe(traces(dropout_run)[0])}


def test_the_key_insight_claims_no_effect_and_names_what_stayed_on(forgetful_run):
    text = insight(forgetful_run).blocks[0].text
    assert "dropout raised" not in text
    assert "with dropout off" not in text
    assert text.startswith("2 of the 2 masks of the first training batch kept a number inside ")
    assert text.endswith("`model.eval()` does not switch it off.")
