"""Columns that cannot be learned from are left out, each with its own reason."""

from __future__ import annotations

import random

import pytest

from pipetrace.errors import TableError
from pipetrace.pipeline.columns import judge
from pipetrace.pipeline.frame import from_columns, settle
from pipetrace.pipeline.table import read

ROWS = 60


def judged(name, cells):
    frame = from_columns({name: cells, "y": ["u", "v"] * (len(cells) // 2)})
    return judge(settle("t", frame), "y")[0]


@pytest.mark.parametrize(
    ("name", "cells", "type_"),
    [
        ("width", [index / 3 for index in range(ROWS)], "numeric"),
        ("rank", [index % 9 for index in range(ROWS)], "numeric"),
        ("year", [1960 + index for index in range(ROWS)], "numeric"),
        ("colour", ["red", "green", None] * 20, "category"),
        ("flag", ["yes", None] * 30, "category"),
        ("agrees", ["I agree with all of this.", "I do not agree with this."] * 30, "category"),
        ("alive", [True, False, None] * 20, "boolean"),
        ("day", [f"2020-01-{1 + index % 28:02}" for index in range(ROWS)], "date"),
    ],
)
def test_features(name, cells, type_):
    column = judged(name, cells)
    assert (column.role, column.type, column.reason) == ("feature", type_, "")


SHUFFLED = random.Random(0).sample(range(1, ROWS + 1), ROWS)
NOTES = [f"The nest number {index % 9} was seen on that day." for index in range(ROWS)]


@pytest.mark.parametrize(
    ("name", "cells", "words"),
    [
        ("one", [7] * ROWS, "it is 7 in every row"),
        ("one", [7, None] * 30, "it is 7 wherever it is known"),
        ("none", ["NA"] * ROWS, "it is missing in every row"),
        ("any", list(range(1, ROWS + 1)), "it counts the rows, 1, 2, 3, ...: an id"),
        ("any", list(range(ROWS)), "it counts the rows, 0, 1, 2, ...: an id"),
        ("any", [*range(1, 31), *range(1, 31)], "starting again 1 time"),
        ("any", SHUFFLED, "it numbers the rows from 1 to 60"),
        ("customerId", [9000 + 37 * index for index in range(ROWS)], "its name says id"),
        ("any", [f"A{index}" for index in range(ROWS)], "60 texts are all different: an id"),
        ("any", [f"A{index // 2 * 2}" for index in range(ROWS - 1)] + ["B"], "more an id"),
        ("any", NOTES, "free text: 9.0 words a cell on average, 9 different texts"),
        ("any", [[1]] * ROWS, "of the type List"),
    ],
)
def test_left_out(name, cells, words):
    column = judged(name, cells)
    assert column.role == "left out"
    assert words in column.reason


def test_too_many_categories():
    column = judged("any", [f"A{index % 51}" for index in range(204)])
    assert column.reason == "51 categories are too many (the limit is 50)"
    assert judged("any", [f"A{index % 50}" for index in range(200)]).role == "feature"


def test_a_long_constant_is_cut():
    assert len(judged("any", ["word " * 200] * ROWS).reason) < 100


def test_penguins_raw(shared):
    columns = judge(read(shared("penguins_raw.csv")), "Species")
    reasons = {column.name: column.reason for column in columns if column.role == "left out"}
    assert list(reasons) == ["Sample Number", "Region", "Stage", "Individual ID", "Comments"]
    assert "counts the rows" in reasons["Sample Number"]
    assert reasons["Region"] == "it is Anvers in every row"
    assert "190 different texts in 344 cells" in reasons["Individual ID"]
    assert "free text" in reasons["Comments"]
    types = {column.name: column.type for column in columns if column.role == "feature"}
    assert types["Date Egg"] == "date"
    assert types["Sex"] == "category"
    assert types["Body Mass (g)"] == "numeric"


def test_dropping():
    table = settle("t", from_columns({"a": [1.5, 2.5], "b": [3.5, 4.5], "y": ["u", "v"]}))
    assert judge(table, "y", ["b"])[1].reason == "it was asked to be dropped"
    with pytest.raises(TableError, match="t has no column 'c'"):
        judge(table, "y", ["c"])
    with pytest.raises(TableError, match="is the target, so it cannot be dropped"):
        judge(table, "y", ["y"])
