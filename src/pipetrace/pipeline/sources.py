"""Whatever a person has in hand becomes a table: a path, a data frame, arrays, a Bunch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import Table, from_columns, settle
from pipetrace.pipeline.table import read, shorten

ACCEPTED = (
    "a path to a CSV or Parquet file, a polars or pandas DataFrame, a pair (X, y) of arrays, or "
    "a scikit-learn Bunch"
)


def gather(source: Any, target: str | None) -> tuple[Table, str]:
    """Make a table of `source`, and say which column is the target.

    Args:
        source: A path, a polars or pandas DataFrame, a pair `(X, y)` of arrays with X of shape
            (rows, features) or (rows, ...) and y of shape (rows,), or a scikit-learn Bunch.
        target: Name of the target column; for a pair or a Bunch it may be None.

    Raises:
        TableError: the source is none of these, or no target is named.

    >>> table, target = gather((np.ones((2, 2)), np.array([3, 4])), None)
    >>> table.frame.columns, target
    (['x0', 'x1', 'target'], 'target')
    """
    if isinstance(source, (str, os.PathLike)):
        return read(source), _named(target, os.fspath(source))
    for package, convert in (("polars", _from_polars), ("pandas", _from_pandas)):
        kind = getattr(sys.modules.get(package), "DataFrame", None)
        if kind is not None and isinstance(source, kind):
            table = settle("DataFrame", convert(source))
            if table.rows == 0:
                raise TableError("The DataFrame has no rows. Pass one that holds data.")
            return table, _named(target, "DataFrame")
    if isinstance(source, tuple) and len(source) == 2:
        return _from_arrays("(X, y)", source[0], source[1], target or "target")
    if isinstance(source, Mapping) and "data" in source and "target" in source:
        return _from_bunch(source, target or "target")
    raise TableError(f"An object of the type {type(source).__name__} is no table. Pass {ACCEPTED}.")


def _named(target: str | None, name: str) -> str:
    if target is None:
        raise TableError(
            f"{name}: which column is to be predicted? Name it: target='COLUMN' "
            "(on the command line: --target COLUMN)."
        )
    return target


def _from_polars(frame: Any) -> Any:
    return frame


def _from_pandas(frame: Any) -> Any:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise TableError("The DataFrame has columns that share a name. Rename them.")
    columns: dict[str, Any] = {}
    for index, name in enumerate(names):
        series = frame.iloc[:, index]
        if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
            columns[name] = series.to_numpy()
        else:
            absent = series.isna().to_list()
            values = zip(series.to_list(), absent, strict=True)
            columns[name] = [None if missing else value for value, missing in values]
    return from_columns(columns)


def _from_bunch(bunch: Mapping[str, Any], target: str) -> tuple[Table, str]:
    truth = np.asarray(bunch["target"])
    classes = [str(name) for name in bunch.get("target_names", ())]
    coded = truth.dtype.kind in "iu" and truth.size > 0 and truth.min() >= 0
    if coded and truth.max() < len(classes) == len(set(classes)):
        truth = np.asarray(classes, dtype=object)[truth]
    names = [str(name) for name in bunch.get("feature_names", ())]
    return _from_arrays("Bunch", bunch["data"], truth, target, names)


def _from_arrays(
    name: str, inputs: Any, truth: Any, target: str, names: list[str] | None = None
) -> tuple[Table, str]:
    features, answers = np.asarray(inputs), np.asarray(truth)
    if features.ndim == 0 or answers.ndim == 0 or len(features) != answers.size:
        raise TableError(
            f"{name}: the inputs have shape {features.shape} and the target {answers.shape}. "
            "Give X of shape (rows, features) and y of shape (rows,), with as many rows."
        )
    if features.size == 0:
        raise TableError(f"{name}: the inputs are empty (shape {features.shape}). Pass rows.")
    flat = features.reshape(len(features), -1)
    names = names if names and len(names) == flat.shape[1] else []
    names = names or [f"x{index}" for index in range(flat.shape[1])]
    if target in names:
        raise TableError(f"{name}: the target cannot be called '{shorten(target)}', an input is.")
    columns = {name: _plain(flat[:, index]) for index, name in enumerate(names)}
    columns[target] = _plain(answers.reshape(-1))
    return settle(name, from_columns(columns), comma=False), target


def _plain(values: Any) -> Any:
    """Text and mixed arrays leave numpy as lists; arrays of numbers stay what they are."""
    return np.ascontiguousarray(values) if values.dtype.kind in "biuf" else values.tolist()
