"""The target column decides the task: classes, or values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import Table
from pipetrace.pipeline.table import list_names, shorten

if TYPE_CHECKING:
    import polars as pl

TASKS = {
    "classes": "classes",
    "classification": "classes",
    "values": "values",
    "regression": "values",
}
"""The tasks by every name they go by."""
FEW = 20
"""Whole numbers with at most this many different values are classes."""


@dataclass(frozen=True)
class Target:
    """The target of the rows that have one.

    `known` marks the rows of the table where the target is there; `codes` holds for each of these
    rows the index of its class (int64), or its value (float64).
    """

    name: str
    task: str
    reason: str
    known: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    classes: tuple[str, ...] = ()


def read_target(table: Table, name: str, task: str | None = None) -> Target:
    """Decide the task, and turn the target column into class indices or values.

    Args:
        table: The table as it was read.
        name: The target column.
        task: `classes` or `values` (or `classification`, `regression`); None decides by its type.

    Raises:
        TableError: the task is unknown, or the column cannot be learned as that task.

    >>> from pipetrace.pipeline.frame import from_columns, settle
    >>> frame = from_columns({"y": ["b", None, "a", "b", "a"]})
    >>> target = read_target(settle("t", frame), "y")
    >>> target.task, target.classes, target.codes.tolist(), target.known.tolist()
    ('classes', ('a', 'b'), [1, 0, 1, 0], [True, False, True, True, True])
    """
    if task is not None and task not in TASKS:
        raise TableError(
            f"There is no task '{task}'. Write classification (task='classes') or regression "
            "(task='values'), or leave it out."
        )
    series, kind = table[name], table.kinds[name]
    where = f"{table.name}: the target '{shorten(name)}'"
    known = series.drop_nulls()
    if len(known) == 0:
        raise TableError(
            f"{where} is missing in all {table.rows} rows, so 0 rows are left to learn from. "
            "Choose another target, or fill it in."
        )
    if kind not in ("whole", "decimal", "boolean", "text", "date"):
        raise TableError(
            f"{where} is of the type {kind}. Choose a column of numbers, text or booleans."
        )
    if task is None:
        chosen, reason = _decide(known, kind)
    else:
        chosen, reason = TASKS[task], "the task was asked for"
    present = series.is_not_null().to_numpy()
    if chosen == "values":
        return Target(name, "values", reason, present, _values(known, kind, where))
    codes, classes = _classes(known, kind, where, asked=task is not None)
    return Target(name, "classes", reason, present, codes, classes)


def _decide(known: pl.Series, kind: str) -> tuple[str, str]:
    distinct = known.n_unique()
    if kind in ("boolean", "text", "date"):
        words = {"boolean": "booleans", "text": "text", "date": "dates"}[kind]
        return "classes", f"it holds {words}, {distinct} different"
    if not _all_whole(known):
        return "values", f"it holds numbers with decimals, {distinct} different"
    if distinct <= 2 or (distinct <= FEW and 2 * distinct <= len(known)):
        return "classes", f"it holds whole numbers, only {distinct} different"
    return "values", f"it holds whole numbers, {distinct} different"


def _all_whole(known: pl.Series) -> bool:
    return bool((known == known.round()).all()) if known.dtype.is_float() else True


def _values(known: pl.Series, kind: str, where: str) -> npt.NDArray[np.float64]:
    if kind in ("text", "date"):
        holds = "text" if kind == "text" else "dates"
        raise TableError(
            f"{where} holds {holds} (for example '{shorten(known[0])}'), and regression predicts "
            "numbers. Leave the task out, write classification, or choose a column of numbers."
        )
    values = known.cast(known.dtype if known.dtype.is_float() else float).to_numpy()
    if len(np.unique(values)) == 1:
        raise TableError(
            f"{where} has one value, {known[0]}, in all {len(known)} rows that have one: there "
            "is nothing to predict. Choose another target."
        )
    return np.asarray(values, dtype=np.float64)


def _classes(
    known: pl.Series, kind: str, where: str, *, asked: bool
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    names, codes, counts = np.unique(
        known.cast(str).to_numpy().astype(object) if kind in ("text", "date") else known.to_numpy(),
        return_inverse=True,
        return_counts=True,
    )
    classes = tuple(_class_name(name) for name in names.tolist())
    if len(classes) == 1:
        raise TableError(
            f"{where} has one class, '{shorten(classes[0])}', in all {len(known)} rows that have "
            "one: there is nothing to tell apart. Choose another target."
        )
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if single:
        numbers = kind in ("whole", "decimal")
        instead = "write --task regression (task='values'), " if numbers else ""
        one = len(single) == 1
        raise TableError(
            f"{where} has {len(classes)} classes, and {'the class' if one else 'the classes'} "
            f"{list_names(single, limit=4)} {'has' if one else 'have'} one row"
            f"{'' if one else ' each'}: a class needs at least two, one to train on and one held "
            f"out. Take {'that row' if one else 'those rows'} out or join classes, {instead}"
            "or choose another target."
        )
    return codes.astype(np.int64).reshape(-1), classes


def _class_name(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
