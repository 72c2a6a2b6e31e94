"""Cells get the narrowest type that holds all of a column."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest

from pipetrace.pipeline.frame import days, from_columns, settle


def kind_of(cells, **options):
    table = settle("t", pl.DataFrame({"a": pl.Series(cells, strict=False)}), **options)
    return table.kinds["a"], table["a"].to_list()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "+2", " -3 "], "whole", [1, 2, -3]),
        (["1", "2.5", "1e3"], "decimal", [1.0, 2.5, 1000.0]),
        (["1", "99999999999999999999"], "decimal", [1.0, 1e20]),
        (["1,250", "3"], "whole", [1250, 3]),
        (["01234", "11111"], "text", ["01234", "11111"]),
        (["True", "false", None], "boolean", [True, False, None]),
        (["2007-11-11", "NA"], "date", [date(2007, 11, 11), None]),
        (["11.12.2007", "1.2.2008"], "date", [date(2007, 12, 11), date(2008, 2, 1)]),
        (["13/02/2008", "01/02/2008"], "date", [date(2008, 2, 13), date(2008, 2, 1)]),
        (["02/13/2008", "01/02/2008"], "date", [date(2008, 2, 13), date(2008, 1, 2)]),
        (["03/04/2021", "05/06/2021"], "text", ["03/04/2021", "05/06/2021"]),
        (["2020-01-02 03:04:05"], "date", [datetime(2020, 1, 2, 3, 4, 5)]),
        (["NA", "?", ""], "empty", [None, None, None]),
        (["1", "x"], "text", ["1", "x"]),
        ([1.5, float("nan"), None], "decimal", [1.5, None, None]),
        ([Decimal("1.5"), None], "decimal", [1.5, None]),
        ([2**63, 1], "decimal", [2.0**63, 1.0]),
        ([None, None], "Null", None),
    ],
)
def test_kinds(cells, kind, values):
    found, got = kind_of(cells)
    if kind == "Null":
        assert found == "empty"
    else:
        assert (found, got) == (kind, values)


def test_a_decimal_comma_and_a_separator_of_thousands_are_told_apart():
    assert kind_of(["1,250", "3"], comma=True) == ("decimal", [1.25, 3.0])
    assert kind_of(["1,25", "3"]) == ("text", ["1,25", "3"])


def test_infinite_and_enormous_numbers_are_missing_and_said():
    table = settle("t", pl.DataFrame({"a": ["1.5", "inf", "-inf", "1e200", "NA"]}))
    assert table["a"].to_list() == [1.5, None, None, None, None]
    assert "3 values that are infinite" in table.notices[0].text


def test_categoricals_are_text_and_lists_keep_their_type():
    table = settle(
        "t",
        pl.DataFrame(
            {
                "a": pl.Series(["x", "y"], dtype=pl.Categorical),
                "b": [[1], [2]],
                "c": [timedelta(1), timedelta(2)],
            }
        ),
    )
    assert table.kinds == {"a": "text", "b": "List", "c": "Duration"}


def test_days_of_dates_and_of_times_with_a_zone():
    noon = datetime(1970, 1, 2, 13, tzinfo=timezone(timedelta(hours=1)))
    assert days(pl.Series([date(1969, 12, 31), None])).to_list() == [-1.0, None]
    assert days(pl.Series([noon])).to_list() == [1.5]


def test_columns_of_lists_and_arrays():
    frame = from_columns({"a": [1, 2.5], "b": ["x", 3]})
    assert settle("t", frame).kinds == {"a": "decimal", "b": "text"}


@pytest.mark.parametrize("package", ["polars", "sklearn"])
def test_without_the_extra_the_error_says_what_to_install(package):
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from pipetrace.errors import TableError\n"
        "try:\n    import pipetrace.pipeline.prepare\n"
        "except TableError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "pipetrace[tabular]"' in done.stdout
