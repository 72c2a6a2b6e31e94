"""The dropout lab quotes what the real layer drew, and what that did to the prediction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.blocks import Draws, Facts, Page, Section, Table, Tabs
from pipetrace.records import Dataset, SourceText
from pipetrace.records import Draws as Record
from pipetrace.story.page import page
from pipetrace.tracefile import Recording

torch.set_num_threads(1)


def train(model: nn.Module, name: str, y: torch.Tensor) -> pt.Run:
    torch.manual_seed(1)
    x = torch.randn(12, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pt.record() as run:
        for rows in torch.arange(8).split(4):
            optimizer.zero_grad()
            getattr(F, name)(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()
            getattr(F, name)(model(x[8:]), y[8:])
    return run


def lab(run: pt.Run) -> Section:
    return next(section for section in run.page().sections if section.id == "lab")


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Dropout(0.4), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def test_a_layer_its_facts_and_its_table(model: nn.Sequential):
    run = train(model, "cross_entropy", torch.arange(12) % 3)
    (record,) = run.recording.all(Record)
    section = lab(run)
    assert section.intro == (
        "With the trained weights sample 0, held out from training, went through the model "
        "again, with `Dropout 0` dropping at 10 rates and all else in eval mode: 32 masks at each "
        "rate, drawn by the layer itself."
    )
    block, facts, table = section.blocks
    assert isinstance(block, Draws)
    assert isinstance(facts, Facts)
    assert isinstance(table, Table)
    assert (block.title, block.chosen, block.rates[block.chosen]) == ("Dropout 0", 4, 0.4)
    assert block.again == f"{record.capture}/{record.op}"
    assert [effect.label for effect in block.effects] == ["Linear 1", "probabilities"]
    kept = [f"{int(mask, 16):04b}"[0] == "1" for mask in block.masks[4]]
    mean = sum(kept) / 32 * record.scales[4] * record.values[0]
    first = facts.facts[0]
    assert first.label == "mean of value 0 at p = 0.4"
    assert all(fact.label.endswith("at p = 0.4") for fact in facts.facts)
    assert float(first.value.split(",")[0]) == pytest.approx(mean, rel=1e-3)
    assert first.note.startswith(f"over 32 draws: kept in {sum(kept)} and then multiplied by ")
    chances = block.effects[1]
    predicted = max(range(3), key=chances.off.__getitem__)
    for row, draws in zip(table.rows, chances.draws, strict=True):
        shares = [draw[predicted] for draw in draws]
        assert row[1:4] == tuple(f"{x:.3f}" for x in (sum(shares) / 32, min(shares), max(shares)))
        assert row[4] == f"{sum(max(draw) != draw[predicted] for draw in draws)} of 32"
    assert table.rows[0][1] == f"{chances.off[predicted]:.3f}"
    assert f"class {predicted}" in table.caption


def test_features_and_classes_have_their_names(model: nn.Sequential):
    run = train(model, "cross_entropy", torch.arange(12) % 3)
    names, classes = ("a", "b", "c", "d"), ("ada", "bob", "eve")
    run.recording.facts.append(Dataset(role="training", names=names, classes=classes))
    block = lab(run).blocks[0]
    assert block.names == names
    assert [effect.names for effect in block.effects] == [(), classes]


def test_several_layers_stand_in_tabs_and_values_have_their_own_table():
    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.1), nn.ReLU(), nn.Dropout(0.2),
                          nn.Linear(6, 1))  # fmt: skip
    section = lab(train(model, "mse_loss", torch.randn(12, 1)))
    (tabs,) = section.blocks
    assert isinstance(tabs, Tabs)
    assert [tab.label for tab in tabs.tabs] == ["Dropout 1", "Dropout 3"]
    assert "`Dropout 1` and `Dropout 3` each of them dropping" in section.intro
    table = tabs.tabs[0].blocks[-1]
    assert isinstance(table, Table)
    assert table.caption.startswith("What dropping does to the output; without dropping it is")
    assert table.rows[0][2] == table.rows[0][3] == table.rows[0][4]
    assert table.rows[9][3] != table.rows[9][4]


def test_a_layer_that_drops_channels_has_a_value_for_each():
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 5, 1), nn.Dropout2d(0.4),
                          nn.Flatten(), nn.Linear(20, 3))  # fmt: skip
    block, facts, _ = lab(train(model, "cross_entropy", torch.arange(12) % 3)).blocks
    assert block.names == tuple(f"channel {at}" for at in range(5))
    assert len(block.values) == 5
    assert block.note == (
        "This layer drops whole channels of 4 values: one value stands for each, the channel's "
        "first, for all 5 channels of the sample's row. The layer's own rate is p = 0.4."
    )
    kept = sum(f"{int(mask, 16):08b}".count("1") for mask in block.masks[block.chosen])
    mean, share, _ = facts.facts
    assert mean.label == "mean of channel 0 at p = 0.4"
    assert share.value.startswith(f"{kept} of 160 (")
    assert share.note == "over 32 draws of 5 channels"


def test_two_classes_of_one_output_are_two():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))
    run = train(model, "binary_cross_entropy_with_logits", torch.randint(0, 2, (12, 1)).float())
    block, _, table = lab(run).blocks
    share = block.effects[-1].off[0]
    assert table.rows[0][1] == f"{max(share, 1 - share):.3f}"


def test_without_dropout_there_is_no_lab():
    run = train(nn.Sequential(nn.Linear(4, 3)), "cross_entropy", torch.arange(12) % 3)
    assert "lab" not in [section.id for section in run.page().sections]


def stages(made: Page, section: str) -> Any:
    block = next(part for part in made.sections if part.id == section).blocks[0]
    return (block.tabs[0].blocks[0] if isinstance(block, Tabs) else block).stages


def test_only_what_can_be_run_again_says_so(model: nn.Sequential):
    made = train(model, "cross_entropy", torch.arange(12) % 3).page()
    assert {stage.again for stage in stages(made, "flow")} == {""}
    assert [(stage.again, stage.rate) for stage in stages(made, "prediction")] == [
        ("", None), ("2/0", 0.4), ("2/1", None), ("2/2", None), ("2/3", None),
    ]  # fmt: skip
    traced = pt.trace(model, torch.randn(2, 4))
    assert [stage.again for stage in stages(traced.page(), "flow")][1:] == [
        "0/0", "0/1", "0/2", "0/3",
    ]  # fmt: skip
    with pt.options(values=False):
        traced = pt.trace(model, torch.randn(2, 4))
    assert {stage.again for stage in stages(traced.page(), "flow")} == {""}


def test_inputs_are_shown_as_pictures_and_tokens():
    run = pt.trace(nn.Conv2d(3, 1, 3), torch.rand(2, 3, 8, 70))
    (picture,) = stages(run.page(), "flow")[0].pictures
    assert (picture.width, picture.height, picture.channels) == (64, 7, 3)
    assert picture.label == "input, row 0"
    assert picture.note.startswith("8 × 70 pixels, shown as means over areas, 7 × 64; none of a")
    run = pt.trace(nn.Embedding(5, 2), torch.arange(5).repeat(1, 20))
    (tokens,) = stages(run.page(), "flow")[0].tokens
    assert (len(tokens.ids), tokens.total, tokens.label) == (64, 100, "input, row 0, 100 tokens")
    assert tokens.note == "no vocabulary was found"


def test_the_source_stands_beside_the_flow(model: nn.Sequential):
    run = train(model, "cross_entropy", torch.arange(12) % 3)
    flow = next(part for part in run.page().sections if part.id == "flow").blocks[0]
    (code,) = flow.sources
    spots = {(spot.file, spot.line) for stage in flow.stages for spot in stage.spots}
    assert {(code.path, mark) for mark in code.marks} == spots
    assert code.first == 1
    assert "(model(x[rows])" in code.text.splitlines()[code.marks[0] - 1]


def test_of_a_long_file_the_lines_around_are_quoted(model: nn.Sequential):
    run = train(model, "cross_entropy", torch.arange(12) % 3)
    long = "".join(f"line = {number}\n" for number in range(1, 3001))
    facts = [
        replace(fact, text=long) if isinstance(fact, SourceText) else fact
        for fact in run.recording.facts
    ]
    made = page(Recording(facts, {}, None))
    flow = next(part for part in made.sections if part.id == "flow").blocks[0]
    assert flow.sources
    lines = {spot.line for stage in flow.stages for spot in stage.spots}
    assert {mark for code in flow.sources for mark in code.marks} == lines
    for code in flow.sources:
        shown = code.text.splitlines()
        assert len(shown) < 100
        for mark in code.marks:
            assert shown[mark - code.first] == f"line = {mark}"
