"""Each column of a table gets a role, and one that is left out gets the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import Table
from pipetrace.pipeline.table import no_column, shorten
from pipetrace.records import Column

if TYPE_CHECKING:
    import polars as pl

CATEGORIES = 50
"""A column with more different texts than this is left out."""
_ID_NAME = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|index|idx|key|nr|no|number|row)([^a-z]|$)")
_TYPES = {
    "whole": "numeric",
    "decimal": "numeric",
    "boolean": "boolean",
    "date": "date",
    "text": "category",
    "empty": "empty",
}


def judge(table: Table, target: str, drop: Sequence[str] = ()) -> list[Column]:
    """Give every column of a table its role, in the order of the table.

    Roles rest on what a column is (its type, how many different values it has, whether it counts
    the rows); no number that an input is computed from is taken here.

    Args:
        table: The table as it was read, with all its rows.
        target: The column to predict.
        drop: Columns to leave out.

    Raises:
        TableError: the target or a column to drop does not exist, or the target is dropped.

    >>> from pipetrace.pipeline.frame import from_columns, settle
    >>> frame = from_columns({"a": [2.5, 3.5, 2.5], "b": [7, 7, 7], "y": ["u", "v", "u"]})
    >>> [(column.name, column.role, column.reason) for column in judge(settle("t", frame), "y")]
    [('a', 'feature', ''), ('b', 'left out', 'it is 7 in every row'), ('y', 'target', '')]
    """
    names = table.frame.columns
    if target not in names:
        raise TableError(no_column(table.name, target, names))
    for name in drop:
        if name not in names:
            raise TableError(f"To drop: {no_column(table.name, name, names)}")
        if name == target:
            raise TableError(
                f"'{shorten(name)}' is the target, so it cannot be dropped. Choose another "
                "target, or take it off the columns to drop."
            )
    return [_column(table, name, target, drop) for name in names]


def leave_out(column: Column, reason: str) -> Column:
    """Give a column the role `left out`."""
    return msgspec.structs.replace(column, role="left out", reason=reason)


def same_everywhere(series: pl.Series, kind: str, where: str = "in every row") -> str:
    """Say why a column cannot tell rows apart, or nothing.

    A text with one value and missing cells can: whether it is missing is something to learn from.

    Args:
        series: The cells, all of them or those of the training part.
        kind: The kind that the table gives the column.
        where: Which cells they are, in words.
    """
    known = series.drop_nulls()
    if len(known) == 0:
        return f"it is missing {where}"
    if known.n_unique() > 1 or (kind == "text" and len(known) < len(series)):
        return ""
    if len(known) < len(series):
        return f"it is {shorten(known[0])} wherever it is known"
    return f"it is {shorten(known[0])} {where}"


def _column(table: Table, name: str, target: str, drop: Sequence[str]) -> Column:
    series, kind = table[name], table.kinds[name]
    column = Column(
        name=name,
        type=_TYPES.get(kind, kind),
        role="feature",
        missing=series.null_count(),
        distinct=series.drop_nulls().n_unique() if kind in _TYPES else 0,
    )
    if name == target:
        return msgspec.structs.replace(column, role="target")
    if name in drop:
        return leave_out(column, "it was asked to be dropped")
    if kind not in _TYPES:
        return leave_out(column, f"its cells are of the type {kind}, not numbers, text or dates")
    same = same_everywhere(series, kind)
    if same:
        return leave_out(column, same)
    if kind == "whole":
        counted = _counts_rows(series) or _numbered(series, name)
        if counted:
            return leave_out(msgspec.structs.replace(column, type="id"), counted)
    if kind == "text":
        type_, reason = _unusable_text(series)
        if reason:
            return leave_out(msgspec.structs.replace(column, type=type_), reason)
    return column


def _counts_rows(series: pl.Series) -> str:
    """Recognise 1, 2, 3, ... in the order of the rows, also where the count starts again."""
    rows = len(series)
    if series.null_count() or rows < 10:
        return ""
    steps = series.diff().drop_nulls()
    starts = series.filter(series.diff().fill_null(0) != 1)
    if int((steps == 1).sum()) < 0.9 * len(steps) or not starts.is_in([0, 1]).all():
        return ""
    again = len(starts) - 1
    restarts = f", starting again {again} {'time' if again == 1 else 'times'}" if again else ""
    return (
        f"it counts the rows, {starts[0]}, {starts[0] + 1}, {starts[0] + 2}, ...{restarts}: an id"
    )


def _numbered(series: pl.Series, name: str) -> str:
    """Recognise whole numbers that are all different and fill a range, or are named as an id."""
    known = series.drop_nulls()
    if len(known) < 10 or known.n_unique() < len(known):
        return ""
    first, last = int(known.min()), int(known.max())  # type: ignore[arg-type]  # any Python literal
    if last - first == len(known) - 1 and first in (0, 1):
        return f"it numbers the rows from {first} to {last}: an id"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    if _ID_NAME.search(words):
        return f"its {len(known)} whole numbers are all different and its name says id: an id"
    return ""


def _unusable_text(series: pl.Series) -> tuple[str, str]:
    known = series.drop_nulls()
    count, distinct = len(known), known.n_unique()
    words = float(known.str.count_matches(r"\S+").mean())  # type: ignore[arg-type]  # any literal
    ended = float(known.str.contains(r"[.!?]$").mean())  # type: ignore[arg-type]  # any literal
    sentences = ended >= 0.5 and words >= 3
    if distinct > 2 and (sentences or (words >= 5 and count < 10 * distinct and distinct > 20)):
        return "text", (
            f"free text: {words:.1f} words a cell on average, {distinct} different texts in "
            f"{count} cells"
        )
    if distinct == count and count > 2:
        return "id", f"its {count} texts are all different: an id, not a category"
    if count < 2 * distinct and count >= 10:
        return "id", (
            f"{distinct} different texts in {count} cells, {count / distinct:.1f} cells each: "
            "more an id than a category"
        )
    if distinct > CATEGORIES:
        return "category", f"{distinct} categories are too many (the limit is {CATEGORIES})"
    return "category", ""
