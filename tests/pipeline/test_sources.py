"""What a person has in hand becomes the same table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import datasets

from pipetrace.errors import TableError
from pipetrace.pipeline.prepare import prepare
from pipetrace.pipeline.sources import gather


def test_a_path_and_a_polars_frame_prepare_to_the_same_bits(shared):
    path = shared("penguins.csv")
    ours = prepare(str(path), "species")
    frame = prepare(pl.read_csv(path, null_values=["NA"]), "species")
    assert ours.names == frame.names
    assert torch.equal(ours.train_inputs, frame.train_inputs)
    assert torch.equal(ours.heldout_targets, frame.heldout_targets)


def test_a_pandas_frame_prepares_to_the_same_bits(shared):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    path = shared("penguins.csv")
    ours, frame = prepare(path, "species"), prepare(pandas.read_csv(path), "species")
    assert ours.names == frame.names
    assert torch.equal(ours.train_inputs, frame.train_inputs)


def test_a_bunch_brings_its_names_and_classes():
    prepared = prepare(datasets.load_iris())
    assert prepared.names[0] == "sepal length (cm)"
    assert prepared.classes == ("setosa", "versicolor", "virginica")
    assert prepared.target == "target"


def test_a_pair_of_arrays():
    inputs, truth = datasets.load_diabetes(return_X_y=True)
    prepared = prepare((inputs, truth))
    assert prepared.task == "values"
    assert prepared.names == tuple(f"x{index}" for index in range(10))


def test_pictures_are_flattened_and_text_targets_kept():
    bunch = datasets.load_digits()
    table, target = gather((bunch.images, bunch.target.astype(str)), "digit")
    assert target == "digit"
    assert table.frame.shape == (1797, 65)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (3, "y", "type int is no table"),
        ((np.ones((3, 2)), np.ones(4)), None, r"shape \(3, 2\) and the target \(4,\)"),
        ((np.ones((0, 2)), np.ones(0)), None, "are empty"),
        ((np.ones((3, 2)), np.ones(3)), "x1", "cannot be called 'x1'"),
        (pl.DataFrame({"a": [1.5]}), None, "which column is to be predicted"),
        (pl.DataFrame({"a": []}), "a", "has no rows"),
        (pl.DataFrame(), "a", "has no rows"),
    ],
)
def test_what_is_no_source(source, target, words):
    with pytest.raises(TableError, match=words):
        prepare(source, target)
