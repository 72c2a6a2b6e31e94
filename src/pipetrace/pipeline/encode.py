"""The door to scikit-learn: cells become numbers, with statistics of the training part alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipetrace.errors import TableError
from pipetrace.pipeline.frame import days
from pipetrace.records import Argument, Column

try:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
except ImportError as error:  # an extra: a page opens without it
    raise TableError(
        "Preparing a table needs scikit-learn, which is not installed. "
        'Install it with: pip install "pipetrace[tabular]"'
    ) from error

if TYPE_CHECKING:
    import polars as pl

Matrix = npt.NDArray[np.float64]
ABSENT = "missing"
"""The category that stands for a missing text."""
FARTHEST = 1e6
"""Standardised cells are kept within this many standard deviations."""


@dataclass(frozen=True)
class Encoded:
    """The inputs of a model before and after they are standardised.

    The four matrices are float64 of shape (rows, inputs). The first `numbers` inputs are numbers
    and days, which are standardised; the others are 0 or 1. `columns` names the table's columns in
    the order of the inputs, `inputs` the names of each one's inputs.
    """

    train: Matrix
    heldout: Matrix
    train_standard: Matrix
    heldout_standard: Matrix
    numbers: int
    columns: tuple[str, ...]
    inputs: tuple[tuple[str, ...], ...]
    imputed: tuple[Argument, ...]
    means: Matrix
    stds: Matrix
    clipped: int


def encode(train: pl.DataFrame, heldout: pl.DataFrame, columns: Sequence[Column]) -> Encoded:
    """Impute, encode and standardise the feature columns.

    Missing numbers and dates take the median of the training part, missing booleans its most
    frequent value, missing texts a category of their own. A text that the training part does not
    have is 0 in every category.

    Args:
        train: The training rows.
        heldout: The held-out rows: transformed, never fitted on.
        columns: The feature columns; each needs a known cell in the training rows.
    """
    numeric = [column for column in columns if column.type in ("numeric", "date")]
    boolean = [column for column in columns if column.type == "boolean"]
    category = [column for column in columns if column.type == "category"]
    ordered = [*numeric, *boolean, *category]
    blocks: list[tuple[str, Any, list[int]]] = []
    first = 0
    for name, group, transformer in (
        ("numbers", numeric, SimpleImputer(strategy="median")),
        ("booleans", boolean, SimpleImputer(strategy="most_frequent")),
        ("categories", category, _category_pipeline()),
    ):
        if group:
            blocks.append((name, transformer, list(range(first, first + len(group)))))
        first += len(group)
    scaler = ColumnTransformer(
        [("numbers", StandardScaler(), list(range(len(numeric))))], remainder="passthrough"
    )
    pipeline = Pipeline([("encode", ColumnTransformer(blocks)), ("standardise", scaler)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        train_cells, heldout_cells = _cells(train, ordered), _cells(heldout, ordered)
        pipeline.fit(train_cells)
        fitted = pipeline.named_steps["encode"]
        before, after = _matrix(fitted.transform(train_cells)), _matrix(
            fitted.transform(heldout_cells)
        )  # fmt: skip
    scaler = pipeline.named_steps["standardise"]
    standard = [_matrix(scaler.transform(part)) for part in (before, after)]
    clipped = sum(int((np.abs(part) > FARTHEST).sum()) for part in standard)
    fitted_scaler = scaler.named_transformers_["numbers"] if numeric else None
    return Encoded(
        train=before,
        heldout=after,
        train_standard=np.clip(standard[0], -FARTHEST, FARTHEST),
        heldout_standard=np.clip(standard[1], -FARTHEST, FARTHEST),
        numbers=len(numeric),
        columns=tuple(column.name for column in ordered),
        inputs=_inputs(fitted, ordered, len(numeric) + len(boolean)),
        imputed=_imputed(train, fitted, numeric, boolean, category),
        means=np.empty(0) if fitted_scaler is None else np.asarray(fitted_scaler.mean_),
        stds=np.empty(0) if fitted_scaler is None else np.asarray(fitted_scaler.scale_),
        clipped=clipped,
    )


def _category_pipeline() -> Any:
    impute = SimpleImputer(missing_values=None, strategy="constant", fill_value=ABSENT)
    return Pipeline(
        [
            ("impute", impute),
            ("one-hot", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        ]
    )


def _cells(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Lay the columns side by side as floats and texts, under names that nothing can confuse."""
    cells = []
    for index, column in enumerate(columns):
        series = frame[column.name]
        if column.type == "date":
            series = days(series)
        elif column.type != "category":
            series = series.cast(float)
        cells.append(series.alias(str(index)))
    return frame.select(cells)


def _matrix(values: Any) -> Matrix:
    return np.asarray(values, dtype=np.float64)


def _inputs(fitted: Any, ordered: Sequence[Column], single: int) -> tuple[tuple[str, ...], ...]:
    inputs: list[tuple[str, ...]] = [(column.name,) for column in ordered[:single]]
    if single < len(ordered):
        encoder = fitted.named_transformers_["categories"].named_steps["one-hot"]
        for column, values in zip(ordered[single:], encoder.categories_, strict=True):
            inputs.append(tuple(f"{column.name} = {value}" for value in values))
    return tuple(inputs)


def _imputed(
    train: pl.DataFrame,
    fitted: Any,
    numeric: Sequence[Column],
    boolean: Sequence[Column],
    category: Sequence[Column],
) -> tuple[Argument, ...]:
    """Say for each column with missing cells in the training part what they became."""
    words: dict[str, str] = {}
    for name, group, form in (
        ("numbers", numeric, "the median {:.6g}"),
        ("booleans", boolean, "the most frequent value {:g}"),
    ):
        if group:
            statistics = fitted.named_transformers_[name].statistics_
            for column, value in zip(group, statistics, strict=True):
                words[column.name] = form.format(value)
    for column in category:
        words[column.name] = f"the category '{ABSENT}'"
    facts = []
    for name, became in words.items():
        missing = train[name].null_count()
        if missing:
            share = f"{missing} of {train.height} missing ({missing / train.height:.1%})"
            facts.append(Argument(name=name, value=f"{share}: {became}"))
    return tuple(facts)
