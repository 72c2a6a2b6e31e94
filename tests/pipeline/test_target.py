"""The type of the target decides the task, and what cannot be learned is refused."""

from __future__ import annotations

import pytest

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import from_columns, settle
from pipetrace.pipeline.target import read_target


def target(cells, task=None):
    return read_target(settle("t.csv", from_columns({"y": cells})), "y", task)


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["b", "a", "b", "a"], "classes", ("a", "b")),
        ([True, False, True, False], "classes", ("False", "True")),
        ([10, 9, 10, 9], "classes", ("9", "10")),
        ([1.0, 0.0, 1.0, 0.0, None], "classes", ("0", "1")),
        (["2020-01-01", "2021-01-01"] * 2, "classes", ("2020-01-01", "2021-01-01")),
        (list(range(20)) * 2, "classes", tuple(map(str, range(20)))),
        (list(range(21)) * 2, "values", ()),
        ([1, 2, 3, 4, 5], "values", ()),
        ([1.5, 2.5, 1.5, 2.5], "values", ()),
    ],
)
def test_the_task_by_type(cells, task, classes):
    found = target(cells)
    assert (found.task, found.classes) == (task, classes)
    assert found.known.sum() == len(found.codes) == sum(cell is not None for cell in cells)


def test_codes_are_the_places_of_the_classes():
    assert target(["b", "a", "b", "c", "a", "c"]).codes.tolist() == [1, 0, 1, 2, 0, 2]
    assert target([10, 9, 10, 9]).codes.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("word", ["values", "regression"])
def test_the_task_can_be_asked_for(word):
    assert target([1, 2, 1, 2], word).codes.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert target([True, False], word).codes.tolist() == [1.0, 0.0]
    assert target([1.5, 2.5, 1.5, 2.5], "classification").classes == ("1.5", "2.5")


@pytest.mark.parametrize(
    ("cells", "task", "words"),
    [
        (["a", "a", None], None, "has one class, 'a', in all 2 rows"),
        (["a", "a", "b"], None, "the class 'b' has one row:"),
        (["a", "b", "c"], None, "the classes 'a', 'b', 'c' have one row each"),
        ([1, 1, 2], None, "--task regression"),
        ([None, None], None, "missing in all 2 rows, so 0 rows are left"),
        (["a", "b"], "regression", "holds text .for example 'a'."),
        (["2020-01-01", "2021-01-01"], "values", "holds dates"),
        ([2.5, 2.5], None, "has one value, 2.5, in all 2 rows"),
        ([[1], [2]], None, "is of the type List"),
        ([1, 2], "clustering", "no task 'clustering'"),
    ],
)
def test_what_cannot_be_learned(cells, task, words):
    with pytest.raises(TableError, match=words) as caught:
        target(cells, task)
    assert "\n" not in str(caught.value)
    if task != "clustering":
        assert "t.csv: the target 'y'" in str(caught.value)
