"""Held-out rows leave no mark on any statistic, and the facts say what was really done."""

from __future__ import annotations

import dataclasses
import itertools

import msgspec
import numpy as np
import polars as pl
import pytest
import torch

from pipetrace.errors import PipetraceError, TableError
from pipetrace.pipeline.prepare import prepare, without_values
from pipetrace.pipeline.split import split
from pipetrace.records import KINDS, Column, Dataset, Notice, Preparation


def facts(prepared, kind):
    return [fact for fact in prepared.facts if isinstance(fact, kind)]


def test_statistics_are_those_of_the_training_part_computed_by_hand(shared):
    prepared = prepare(shared("penguins.csv"), "species", seed=3)
    frame = pl.read_csv(shared("penguins.csv"), null_values=["NA"])
    _, codes = np.unique(frame["species"].to_numpy(), return_inverse=True)
    train, heldout = split(codes, 3)
    for name in ("bill_length_mm", "flipper_length_mm", "year"):
        cells = frame[name].cast(pl.Float64).to_numpy()
        middle = np.nanmedian(cells[train])
        filled = np.where(np.isnan(cells), middle, cells)
        mean, std = filled[train].mean(), filled[train].std()
        place = prepared.names.index(name)
        for rows, inputs in ((train, prepared.train_inputs), (heldout, prepared.heldout_inputs)):
            expected = ((filled[rows] - mean) / std).astype(np.float32)
            assert np.allclose(inputs[:, place].numpy(), expected, rtol=1e-5, atol=1e-6)
    place = prepared.names.index("sex = missing")
    absent = frame["sex"].is_null().to_numpy()
    assert prepared.train_inputs[:, place].tolist() == absent[train].astype(float).tolist()
    assert prepared.train_targets.tolist() == codes[train].tolist()


@pytest.mark.parametrize("target", ["species", "body_mass_g"])
def test_changing_held_out_cells_changes_nothing_of_the_training_part(shared, target):
    frame = pl.read_csv(shared("penguins.csv"), null_values=["NA"]).drop_nulls(target)
    groups = np.unique(frame["species"].to_numpy(), return_inverse=True)[1]
    _, rows = split(groups if target == "species" else np.zeros(len(groups), dtype=np.int64), 0)
    out = pl.Series(np.isin(np.arange(frame.height), rows))
    changed = frame.with_columns(
        bill_length_mm=frame["bill_length_mm"].set(out, 1e6),
        bill_depth_mm=frame["bill_depth_mm"].set(out, None),
        island=frame["island"].set(out, "Atlantis"),
    )
    if target == "body_mass_g":
        changed = changed.with_columns(body_mass_g=frame[target].set(out, 123_456))
    before, after = prepare(frame, target), prepare(changed, target)
    assert torch.equal(before.train_inputs, after.train_inputs)
    assert torch.equal(before.train_targets, after.train_targets)
    assert before.names == after.names
    assert before.target_mean == after.target_mean
    assert not torch.equal(before.heldout_inputs, after.heldout_inputs)
    islands = [place for place, name in enumerate(after.names) if name.startswith("island")]
    assert after.heldout_inputs[:, islands].abs().sum() == 0


def test_a_standardised_value_goes_back_to_its_unit(bundled):
    path = bundled("diabetes")
    prepared = prepare(path, "target")
    _, rows = split(np.zeros(442, dtype=np.int64), 0)
    truth = pl.read_csv(path)["target"].to_numpy()
    back = prepared.target_mean + prepared.target_std * prepared.heldout_targets.double()
    assert np.allclose(back.numpy(), truth[rows], rtol=1e-5)
    train = np.setdiff1d(np.arange(442), rows)
    assert prepared.target_mean == pytest.approx(truth[train].mean())
    assert prepared.target_std == pytest.approx(truth[train].std())
    assert f"standard deviation {prepared.target_std:.6g}." in facts(prepared, Preparation)[3].words


def test_stages_follow_each_other(shared):
    prepared = prepare(shared("penguins_raw.csv"), "Species")
    stages = facts(prepared, Preparation)
    assert [stage.name for stage in stages] == ["read", "split", "impute/encode", "standardise"]
    assert [stage.index for stage in stages] == [0, 1, 2, 3]
    assert stages[0].before == (344, 17)
    for first, second in itertools.pairwise(stages):
        assert first.after == second.before
    for stage in stages:
        assert len(stage.names) == len(stage.row) == stage.after[1]
    assert stages[3].after == tuple(prepared.train_inputs.shape)
    assert "5 columns left out: 'Sample Number', 'Region', 'Stage'" in stages[0].words
    assert len(stages[0].facts) == 5
    assert "69 of 344 rows (20.1%)" in stages[1].words
    assert "Dates become days since 1 January 1970: 'Date Egg'" in stages[2].words
    cells = [float(cell) for cell in stages[3].row]
    assert np.allclose(cells, prepared.heldout_inputs[0].numpy(), rtol=1e-3, atol=1e-3)


def test_the_sample_can_be_chosen_and_its_cells_left_out(shared):
    prepared = prepare(shared("penguins.csv"), "species", sample=68)
    stages = facts(prepared, Preparation)
    assert stages[0].row[-1] == "Chinstrap" == prepared.classes[prepared.heldout_targets[68]]
    cells = [float(cell) for cell in stages[3].row]
    assert np.allclose(cells, prepared.heldout_inputs[68].numpy(), rtol=1e-3, atol=1e-3)
    hidden = [without_values(fact) for fact in prepared.facts]
    assert all(fact.row == () for fact in hidden if isinstance(fact, Preparation))
    assert [fact for fact in hidden if not isinstance(fact, Preparation)] == [
        fact for fact in prepared.facts if not isinstance(fact, Preparation)
    ]
    with pytest.raises(PipetraceError, match=r"no held-out row 69: penguins\.csv has 69"):
        prepare(shared("penguins.csv"), "species", sample=69)


def test_the_share_of_missing_cells_is_said(shared):
    stage = facts(prepare(shared("penguins.csv"), "species"), Preparation)[2]
    said = {fact.name: fact.value for fact in stage.facts}
    assert said["bill_length_mm"] == "2 of 275 missing (0.7%): the median 44.9"
    assert said["sex"].endswith("the category 'missing'")


def test_columns_and_data_sets(shared):
    prepared = prepare(shared("penguins.csv"), "species", drop=["year", "island"])
    columns = facts(prepared, Column)
    assert [column.name for column in columns][:2] == ["species", "island"]
    assert {column.role for column in columns} == {"feature", "target", "left out"}
    made = sorted(name for column in columns for name in column.encoded)
    assert made == sorted(prepared.names)
    training, evaluation = facts(prepared, Dataset)
    assert (training.role, training.rows, training.features) == ("training", 275, (7,))
    assert (evaluation.role, evaluation.rows) == ("evaluation", 69)
    assert training.names == prepared.names
    assert training.classes == prepared.classes == ("Adelie", "Chinstrap", "Gentoo")


def test_facts_survive_the_run_file(shared):
    for fact in prepare(shared("penguins_raw.csv"), "Species").facts:
        kind = KINDS[str(type(fact).__struct_config__.tag)]
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=kind) == fact


def test_types_and_a_frozen_result():
    prepared = prepare((np.arange(40.0).reshape(20, 2) ** 2, ["a", "b"] * 10))
    assert prepared.train_inputs.dtype == torch.float32
    assert prepared.train_targets.dtype == torch.int64
    values = prepare((np.arange(40.0).reshape(20, 2) ** 2, np.arange(20) + 0.5))
    assert values.train_targets.dtype == torch.float32
    with pytest.raises(dataclasses.FrozenInstanceError):
        prepared.task = "values"


def test_rows_without_a_target_are_left_out_and_counted(shared):
    prepared = prepare(shared("penguins.csv"), "sex")
    assert len(prepared.train_inputs) + len(prepared.heldout_inputs) == 333
    assert "11 rows without a target left out" in facts(prepared, Preparation)[0].words


def test_a_column_that_varies_only_in_held_out_rows_is_left_out():
    _, heldout = split(np.zeros(20, dtype=np.int64), 0)
    odd = np.zeros(20)
    odd[heldout] = np.arange(len(heldout)) + 1
    table = pl.DataFrame({"a": np.arange(20) ** 0.5, "odd": odd, "y": np.arange(20) + 0.5})
    prepared = prepare(table, "y")
    assert prepared.names == ("a",)
    assert facts(prepared, Column)[1].reason == "it is 0.0 in every row of the training part"


def test_a_held_out_cell_far_away_is_kept_finite_and_said():
    _, heldout = split(np.zeros(20, dtype=np.int64), 0)
    cells = np.arange(20) * 1e-9
    cells[heldout[0]] = 1e25
    prepared = prepare(pl.DataFrame({"a": cells, "y": np.arange(20) ** 1.5}), "y")
    assert prepared.heldout_inputs[0, 0] == 1e6
    assert [notice.id for notice in facts(prepared, Notice)] == ["table-clipped"]


def test_a_column_that_gives_the_target_away_is_named(shared):
    frame = pl.read_csv(shared("penguins.csv"), null_values=["NA"])
    code = frame["species"].replace_strict({"Adelie": 7, "Chinstrap": 3, "Gentoo": 5})
    pounds = frame["body_mass_g"] * 0.0022046226
    leaky = frame.with_columns(code=code, pounds=pounds)
    (notice,) = facts(prepare(leaky, "species"), Notice)
    assert "Column 'code' of DataFrame gives the target 'species' away" in notice.text
    assert "in the 275 training rows" in notice.text
    (notice,) = facts(prepare(leaky, "body_mass_g"), Notice)
    assert "'pounds'" in notice.text
    assert "correlation 1.000000" in notice.text
    assert facts(prepare(frame, "species"), Notice) == []
    assert facts(prepare(frame, "body_mass_g"), Notice) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,y\nu1,5,x\nu2,5,x\nu3,5,z\nu4,5,z\n", "no column to learn from: all others were"),
        ("a,y\n1,x\n2,\n3,NA\n4,?\n5,x\n", "has one class, 'x', in all 2 rows"),
        ("a,y\n1.5,\n2.5,NA\n", "0 rows are left"),
        ("a,y\n1.5,0.5\n2.5,0.25\n3.5,0.5\n", ""),
        ("a,y\n1.5,0.5\n2.5,0.25\n", "besides the target|does not vary"),
    ],
)
def test_tables_with_too_little(write, text, words):
    path = write("little.csv", text)
    if not words:
        assert prepare(path, "y").train_inputs.shape == (2, 1)
        return
    with pytest.raises(TableError, match=words) as caught:
        prepare(path, "y")
    assert "little.csv" in str(caught.value)


def test_the_seed_is_checked():
    with pytest.raises(PipetraceError, match="The seed is -1"):
        prepare((np.ones((4, 1)), np.ones(4)), seed=-1)
