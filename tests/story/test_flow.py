"""The data flow quotes what torch computed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.blocks import Flow, Stage, Table
from pipetrace.records import Capture, Op, Place, Provenance
from pipetrace.story.flow import flow
from pipetrace.story.page import page
from pipetrace.tracefile import Recording


def labelled(stage: Stage, label: str) -> str:
    return next(f"{fact.value} | {fact.note}" for fact in stage.facts if fact.label == label)


def test_the_seed_has_five_stages(dropout_run, section_of, stages_of):
    section = section_of(page(dropout_run), "flow")
    stages = stages_of(section)
    assert section.title == "Data flow, 5 stages"
    assert [stage.name for stage in stages] == ["Input", "Dropout", "Linear", "ReLU", "Output"]
    assert [stage.mode for stage in stages] == ["", *["train mode"] * 4]
    assert [stage.shape for stage in stages] == [
        "32 × 20", "32 × 20 → 32 × 20", "32 × 20 → 32 × 10", "32 × 10 → 32 × 10",
        "32 × 10 → 32 × 3",
    ]  # fmt: skip
    assert stages[0].words.startswith("1000 rows × 20 features, in batches of 32.")
    assert labelled(stages[2], "all rows") == (
        "1000 × 20 → 1000 × 10 | derived: only this batch was traced"
    )
    assert stages[4].words.startswith("Linear: each of 3 outputs is a weighted sum of 10 inputs")


def test_dropout_shows_its_mask_its_interval_and_its_scale(dropout_run, section_of, stages_of):
    stage = stages_of(section_of(page(dropout_run), "flow"))[1]
    (op,) = (op for op in dropout_run.all(Op) if op.mask)
    kept, total = op.mask.kept, op.mask.total
    assert total == 640
    assert labelled(stage, "p") == "0.3 | "
    assert labelled(stage, "mask").startswith(f"kept {kept} of 640 elements")
    inside = "inside" if op.mask.low <= kept <= op.mask.high else "outside"
    assert f"keep {op.mask.low} to {op.mask.high}: this one is {inside}" in labelled(stage, "mask")
    words, note = labelled(stage, "scale").split(" | ")
    before, after = (float(part) for part in words.replace(" × 1/(1−0.3)", "").split(" = "))
    assert math.isclose(before / 0.7, after, rel_tol=1e-3)
    assert note == "the recorded output is the same"
    entered, left = stage.strips
    assert entered.label == "in, row 0"
    assert left.label == "out, row 0"
    for struck, value in zip(left.struck, left.values, strict=True):
        assert (value == 0) == struck
    for struck, value, scaled in zip(entered.struck, entered.values, left.values, strict=True):
        assert struck or math.isclose(value / 0.7, scaled, rel_tol=1e-5)


def test_a_scale_that_the_values_contradict_is_said(dropout_run, section_of, stages_of):
    import msgspec

    facts = []
    for fact in dropout_run.facts:
        if isinstance(fact, Op) and fact.mask:
            row = tuple(value * 2 for value in fact.outputs[0].row)
            out = msgspec.structs.replace(fact.outputs[0], row=row)
            fact = msgspec.structs.replace(fact, outputs=(out,))
        facts.append(fact)
    stage = stages_of(section_of(page(Recording(facts, {}, None)), "flow"))[1]
    assert "the recorded output is another" in labelled(stage, "scale")


def test_statistics_say_whether_they_are_exact(dropout_run, section_of, stages_of):
    import msgspec

    stages = stages_of(section_of(page(dropout_run), "flow"))
    assert labelled(stages[2], "output").endswith("exact, over 320 values")
    facts = [
        msgspec.structs.replace(
            fact,
            outputs=(msgspec.structs.replace(fact.outputs[0], exact=False, count=100, nans=2),),
        )
        if isinstance(fact, Op)
        else fact
        for fact in dropout_run.facts
    ]
    stage = stages_of(section_of(page(Recording(facts, {}, None)), "flow"))[2]
    assert labelled(stage, "output").endswith("sampled, 100 of 320 values, finite ones only")
    assert labelled(stage, "output, not numbers").startswith("2 NaN, 0 infinite")
    assert stage.tone == "warning"


def test_stages_carry_the_line_that_made_and_the_line_that_called(record_forward):
    made = Place("/home/ada/a.py", 3, "drop = nn.Dropout()", "build")
    facts = record_forward(nn.Sequential(nn.Linear(4, 2)), torch.randn(3, 4), made)
    folder = Provenance(name="a.py", origin="script", folder="/home/ada")
    (_, stage) = _stages(Recording([folder, *facts], {}, None))
    assert (stage.spots[0].file, stage.spots[0].line) == ("a.py", 3)
    assert stage.spots[1].file.endswith("conftest.py")
    assert [spot.role for spot in stage.spots] == ["made", "called"]


def test_a_failed_forward_ends_in_a_bad_stage(failed_run, section_of, stages_of):
    stages = stages_of(section_of(page(failed_run), "flow"))
    assert [stage.name for stage in stages] == ["Input", "Linear", "ReLU", "Linear"]
    last = stages[-1]
    assert last.tone == "bad"
    assert last.words.startswith("Failed with RuntimeError: mat1 and mat2")
    assert last.shape == "8 × 10 → nothing"
    assert (last.spots[0].file, last.spots[0].line) == ("wrong.py", 12)
    assert last.spots[-1].role == "failed"
    assert [stage.tone for stage in stages[:-1]] == ["plain"] * 3


def test_a_big_model_is_nested_and_equal_blocks_are_rolled_up(big_run, section_of, stages_of):
    stages = stages_of(section_of(page(big_run), "flow"))
    names = [stage.name for stage in stages]
    assert names == ["Input", "Embedding", "12 × Block (blocks.0 … blocks.11)",
                     "4 × Block (shared, called 4 times)", "mean", "Output"]  # fmt: skip
    listed, shared = stages[2], stages[3]
    assert [stage.name for stage in listed.stages] == ["Block"] * 12
    assert listed.words == (
        "`blocks.0` to `blocks.11`, one after the other: the same 16 operations each, 192 in all."
    )
    assert shared.words == (
        "`shared`, called 4 times with the same weights: the same 16 operations each, 64 in all."
    )
    assert listed.facts[0].value == "1392 each, 16,704 in all"
    assert (shared.facts[0].value, shared.facts[0].note) == ("1392", "shared by all 4 calls")
    assert [stage.alike for stage in listed.stages] == [False] + [True] * 11
    block = listed.stages[0]
    assert [stage.name for stage in block.stages] == [
        "LayerNorm", "Linear", "Linear", "Linear", "matmul", "div", "softmax", "Dropout", "matmul",
        "add", "LayerNorm", "Sequential", "add",
    ]  # fmt: skip
    assert [stage.name for stage in block.stages[11].stages] == ["Linear", "GELU", "Linear"]


def test_nothing_of_a_big_model_is_lost(big_run, section_of, stages_of):
    def leaves(stages: tuple[Stage, ...]) -> list[Stage]:
        return [leaf for s in stages for leaf in (leaves(s.stages) if s.stages else [s])]

    found = leaves(stages_of(section_of(page(big_run), "flow")))
    views = sum(op.function == "transpose" for op in big_run.all(Op))
    assert len(found) == 1 + len(big_run.all(Op)) - views
    assert len({stage.id for stage in found}) == len(found)


class Views(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3, stride=2)
        self.out = nn.Linear(36, 1)

    def forward(self, x):
        x = x.unsqueeze(1)
        return self.out(F.relu(self.layer(x)).flatten(1)).squeeze(1)


def test_views_are_folded_into_the_stage_before(record_forward):
    stages = _stages(Recording(record_forward(Views(), torch.randn(2, 8, 8)), {}, None))
    assert [stage.name for stage in stages] == ["Input", "Conv2d", "relu", "Output"]
    assert labelled(stages[0], "then").startswith("`unsqueeze(dim=1)` 2 × 8 × 8 → 2 × 1 × 8 × 8")
    assert "flatten" in labelled(stages[2], "then")
    assert "squeeze" in labelled(stages[3], "then")
    assert stages[1].words == (
        "Slides 4 filters of 3 × 3 over 1 channel: each output is a weighted sum over one "
        "window; stride 2 × 2."
    )


def test_the_counter_of_a_batch_norm_is_no_stage(record_forward):
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.ReLU())
    stages = _stages(Recording(record_forward(model, torch.randn(4, 2, 5)), {}, None))
    assert [stage.name for stage in stages] == ["Input", "Conv1d", "BatchNorm1d", "Output"]
    assert "on the buffer `1.num_batches_tracked`" in labelled(stages[2], "also")


def test_without_rows_of_values_there_are_no_strips(record_forward):
    facts = record_forward(nn.Linear(4, 2), torch.randn(3, 4), values=False)
    origin = Provenance(name="a.py", origin="script", values=False)
    stages = _stages(Recording([origin, *facts], {}, None))
    assert not any(stage.strips for stage in stages)
    assert "Rows of real values were left out of the file." in stages[0].words


def test_columns_and_preparation_of_a_table(table_run, section_of, stages_of):
    made = page(table_run)
    columns = section_of(made, "columns")
    assert columns.intro == (
        "2 of 4 columns went into the model; species is the target; 1 left out, for the "
        "reasons below."
    )
    table = columns.blocks[0]
    assert isinstance(table, Table)
    assert table.rows[0] == ("id", "text", "left out", "0", "40", "a name of each row")
    assert table.rows[1][-1] == "2 features: island=Biscoe, island=Dream"
    stages = stages_of(section_of(made, "flow"))
    assert [stage.name for stage in stages] == ["Read", "Impute", "Input", "Output"]
    assert labelled(stages[0], "sample row") == "island = Dream, mass = 3750 | "
    assert stages[1].shape == "32 × 2 → 32 × 2"
    assert labelled(stages[2], "features") == "island=Biscoe, island=Dream, mass | "


def test_a_forward_without_operations_says_so(words_of):
    made = flow(Recording([Capture(id=0, model=0, purpose="trace", training=False)], {}, None))
    assert made is not None
    assert "No operation was seen inside this forward" in words_of(made.blocks)


@pytest.mark.parametrize("depth", [3, 60])
def test_one_cell_called_in_a_loop_is_rolled_up_where_there_are_many(record_forward, depth):
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 4)

        def forward(self, x):
            for _ in range(depth):
                x = self.cell(x)
            return x

    stages = _stages(Recording(record_forward(Loop(), torch.randn(2, 4)), {}, None))
    names = [stage.name for stage in stages]
    rolled = ["Input", "60 × Linear (cell, called 60 times)"]
    assert names == (["Input", "Linear", "Linear", "Output"] if depth == 3 else rolled)


def _stages(recording: Recording) -> tuple[Stage, ...]:
    made = flow(recording)
    assert made is not None
    assert isinstance(made.blocks[0], Flow)
    return made.blocks[0].stages
