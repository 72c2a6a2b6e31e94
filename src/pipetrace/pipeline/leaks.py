"""A column that gives the target away is named, and stays in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipetrace.pipeline.frame import days
from pipetrace.pipeline.table import shorten
from pipetrace.pipeline.target import Target
from pipetrace.records import Column, Notice

if TYPE_CHECKING:
    import polars as pl

FEWEST = 10
"""In fewer rows a column may give the target away by chance."""
Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def find_leaks(
    name: str, train: pl.DataFrame, features: Sequence[Column], answer: Target, codes: Numbers
) -> list[Notice]:
    """Find features that determine the target one-to-one in the training rows.

    For classes: each value of the column goes with one class, and each class with one value. For
    values: the column and the target lie on a straight line (correlation of 1 within 1e-9).

    Args:
        name: What the table is called in messages.
        train: The training rows.
        features: The feature columns.
        answer: The target.
        codes: Class indices or values of the training rows.
    """
    notices: list[Notice] = []
    if train.height < FEWEST:
        return notices
    for column in features:
        series = train[column.name]
        known = series.is_not_null().to_numpy()
        if answer.task == "classes":
            evidence = _one_to_one(series.filter(known), codes[known])
        else:
            evidence = _line(series.filter(known), codes[known], column.type)
        if evidence:
            notices.append(
                Notice(
                    id="table-leak",
                    text=f"Column '{shorten(column.name)}' of {name} gives the target "
                    f"'{shorten(answer.name)}' away: {evidence}. If it would "
                    "not be known when a prediction is made, leave it out "
                    f"(--drop '{shorten(column.name)}').",
                )
            )
    return notices


def _one_to_one(series: pl.Series, codes: Numbers) -> str:
    values = series.rank("dense").to_numpy().astype(np.int64)
    classes = len(np.unique(codes))
    pairs = len(np.unique(np.stack((values, codes.astype(np.int64))), axis=1).T)
    if not classes == pairs == series.n_unique() or len(series) < FEWEST:
        return ""
    return (
        f"in the {len(series)} training rows where it is known, each of its {pairs} values goes "
        "with one class and each class with one value"
    )


def _line(series: pl.Series, codes: Numbers, kind: str) -> str:
    if kind not in ("numeric", "date") or len(series) < FEWEST:
        return ""
    values = (days(series) if kind == "date" else series.cast(float)).to_numpy()
    if min(len(np.unique(values)), len(np.unique(codes))) < 3:
        return ""
    with np.errstate(all="ignore"):  # numbers near the smallest float have squares of 0
        correlation = float(np.corrcoef(values, codes)[0, 1])
    if not abs(correlation) > 1 - 1e-9:
        return ""
    return (
        f"in the {len(series)} training rows where it is known, the two lie on a straight line "
        f"(correlation {correlation:.6f})"
    )
