"""What was done to a table, stage by stage, in words with the numbers they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipetrace.pipeline.encode import Encoded
from pipetrace.pipeline.frame import Table
from pipetrace.pipeline.table import list_names, shorten
from pipetrace.pipeline.target import Target
from pipetrace.records import Argument, Column, Preparation

if TYPE_CHECKING:
    import polars as pl


Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def describe(
    table: Table,
    columns: Sequence[Column],
    answer: Target,
    parts: tuple[pl.DataFrame, pl.DataFrame],
    codes: tuple[Numbers, Numbers],
    encoded: Encoded,
    names: tuple[str, ...],
    *,
    seed: int,
    sample: int,
    statistics: tuple[float | None, float | None],
) -> list[Preparation]:
    """Tell the stages read, split, impute/encode and standardise.

    Args:
        table: The table as it was read.
        columns: Every column with its final role.
        answer: The target.
        parts: The training rows and the held-out rows, with all columns.
        codes: Class indices or values of both parts.
        encoded: The inputs before and after they are standardised.
        names: The inputs' names.
        seed: What decided the split.
        sample: The held-out row whose cells are shown, from 0.
        statistics: Mean and standard deviation of the target in the training part, for values.
    """
    train, heldout = parts
    features = [column for column in columns if column.role == "feature"]
    kept = (*(column.name for column in features), answer.name)
    cells = heldout.row(sample, named=True)
    rows, inputs = train.height, len(names)
    return [
        Preparation(
            index=0,
            name="read",
            words=_read(table, columns, answer),
            before=(table.rows, len(columns)),
            after=(rows + heldout.height, len(kept)),
            names=kept,
            row=tuple(_cell(cells[name]) for name in kept),
            facts=tuple(
                Argument(name=column.name, value=f"left out: {column.reason}")
                for column in columns
                if column.role == "left out"
            ),
        ),
        Preparation(
            index=1,
            name="split",
            words=_split(answer, train, heldout, seed),
            before=(rows + heldout.height, len(kept)),
            after=(rows, len(features)),
            names=kept[:-1],
            row=tuple(_cell(cells[name]) for name in kept[:-1]),
            facts=_shares(answer, codes),
        ),
        Preparation(
            index=2,
            name="impute/encode",
            words=_encode(features, encoded, train, heldout, inputs),
            before=(rows, len(features)),
            after=(rows, inputs),
            names=names,
            row=tuple(f"{value:.6g}" for value in encoded.heldout[sample]),
            facts=encoded.imputed,
        ),
        Preparation(
            index=3,
            name="standardise",
            words=_standardise(answer, encoded, rows, inputs, *statistics),
            before=(rows, inputs),
            after=(rows, inputs),
            names=names,
            row=tuple(f"{value:.4g}" for value in encoded.heldout_standard[sample]),
            facts=tuple(
                Argument(name=name, value=f"mean {middle:.6g}, standard deviation {spread:.6g}")
                for name, middle, spread in zip(
                    names[: encoded.numbers], encoded.means, encoded.stds, strict=True
                )
            ),
        ),
    ]


def _read(table: Table, columns: Sequence[Column], answer: Target) -> str:
    out = [column.name for column in columns if column.role == "left out"]
    words = f"{table.name} has {_many(table.rows, 'row')} and {_many(len(columns), 'column')}."
    if out:
        words += f" {_many(len(out), 'column')} left out: {list_names(out)}."
    dropped = table.rows - int(answer.known.sum())
    if dropped:
        words += f" {_many(dropped, 'row')} without a target left out."
    if answer.task == "classes":
        task = f"classification into {len(answer.classes)} classes"
    else:
        task = "regression"
    return (
        f"{words} The task is {task}: '{shorten(answer.name)}' is the target, and {answer.reason}."
    )


def _split(answer: Target, train: pl.DataFrame, heldout: pl.DataFrame, seed: int) -> str:
    total = train.height + heldout.height
    how = "class by class" if answer.task == "classes" else "at random"
    return (
        f"{heldout.height} of {_many(total, 'row')} ({heldout.height / total:.1%}) are held out, "
        f"drawn {how} with seed {seed}, and the target is set aside. Every statistic from here on "
        f"is of the {_many(train.height, 'row')} of the training part alone."
    )


def _shares(answer: Target, codes: tuple[Numbers, Numbers]) -> tuple[Argument, ...]:
    if answer.task != "classes":
        return ()
    train, heldout = (
        np.bincount(part.astype(np.int64), minlength=len(answer.classes)) for part in codes
    )
    return tuple(
        Argument(name=name, value=f"{ours} to train on, {theirs} held out")
        for name, ours, theirs in zip(answer.classes, train, heldout, strict=True)
    )


def _encode(
    features: Sequence[Column],
    encoded: Encoded,
    train: pl.DataFrame,
    heldout: pl.DataFrame,
    inputs: int,
) -> str:
    missing = sum(train[column.name].null_count() for column in features)
    cells = train.height * len(features)
    if missing:
        words = (
            f"{missing} of {cells} cells of the training part are missing ({missing / cells:.1%}): "
            "numbers and dates take the median, booleans the most frequent value, texts the "
            "category 'missing'."
        )
    else:
        words = f"None of the {cells} cells of the training part is missing."
    held = sum(heldout[column.name].null_count() for column in features)
    if held:
        words += f" {_many(held, 'missing cell')} of the held-out part filled in the same way."
    dates = [column.name for column in features if column.type == "date"]
    if dates:
        words += f" Dates become days since 1 January 1970: {list_names(dates)}."
    texts = [column for column in features if column.type == "category"]
    if texts:
        made = sum(len(own) for own in encoded.inputs) - (len(features) - len(texts))
        words += (
            f" {_many(len(texts), 'column')} of text {'becomes' if len(texts) == 1 else 'become'} "
            f"{_many(made, 'input')} that {'is' if made == 1 else 'are'} 0 or 1, one for each "
            "text that the training part has."
        )
    return f"{words} {_many(inputs, 'input')} in all."


def _standardise(
    answer: Target, encoded: Encoded, rows: int, inputs: int, mean: float | None, std: float | None
) -> str:
    flags = inputs - encoded.numbers
    words = ""
    if encoded.numbers:
        words = (
            f"{_many(encoded.numbers, 'input')} of numbers: the mean of the {rows} training rows "
            "is subtracted, and the result divided by their standard deviation."
        )
    if flags:
        words += f" {_many(flags, 'input')} of 0 and 1 left as they are."
    if mean is not None and std is not None:
        words += (
            f" The target '{shorten(answer.name)}' as well: mean {mean:.6g}, "
            f"standard deviation {std:.6g}."
        )
    return words.strip()


def _cell(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
