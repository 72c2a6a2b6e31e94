"""A table becomes training and held-out tensors; every statistic is of the training part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from pipetrace.errors import PipetraceError, TableError
from pipetrace.pipeline.columns import judge, leave_out, same_everywhere
from pipetrace.pipeline.encode import FARTHEST, Encoded, encode
from pipetrace.pipeline.leaks import find_leaks
from pipetrace.pipeline.sources import gather
from pipetrace.pipeline.split import require_seed, split
from pipetrace.pipeline.stages import describe
from pipetrace.pipeline.table import shorten
from pipetrace.pipeline.target import Target, read_target
from pipetrace.records import Column, Dataset, Fact, Notice, Preparation

if TYPE_CHECKING:
    import polars as pl

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """A table that is ready to be trained on.

    `train_inputs` and `heldout_inputs` are float32 of shape (rows, inputs). The targets are class
    indices (int64, shape (rows,)) if `task` is `classes`; if it is `values` they are float32 of
    shape (rows,), standardised: `target_mean + target_std * value` is in the unit of the table.
    `names` are the inputs' names, `classes` the classes' in the order of the model's outputs.
    `facts` are the records of what was done: columns, stages, data sets and notices.
    """

    name: str
    target: str
    task: str
    train_inputs: torch.Tensor
    train_targets: torch.Tensor
    heldout_inputs: torch.Tensor
    heldout_targets: torch.Tensor
    names: tuple[str, ...]
    classes: tuple[str, ...]
    target_mean: float | None
    target_std: float | None
    facts: tuple[Fact, ...]


def prepare(
    source: Any,
    target: str | None = None,
    *,
    task: str | None = None,
    drop: Sequence[str] = (),
    seed: int = 0,
    sample: int = 0,
) -> Prepared:
    """Read a table, split it, and turn its cells into the inputs of a model.

    A fifth of the rows is held out before any statistic is taken.

    Args:
        source: A path to a CSV or Parquet file, a polars or pandas DataFrame, a pair (X, y) of
            arrays, or a scikit-learn Bunch.
        target: The column to predict; for a pair or a Bunch it may be left out.
        task: `classes` or `values` (`classification`, `regression`); None decides by the target.
        drop: Columns to leave out.
        seed: Decides which rows are held out.
        sample: The held-out row whose cells the stages show, from 0.

    Raises:
        TableError: the table cannot be trained on; the message says why and what to write.
        PipetraceError: the seed is no whole number from 0 up, or there is no such sample.

    >>> inputs = np.arange(20.0).reshape(10, 2) ** 2
    >>> prepared = prepare((inputs, np.array(["low"] * 5 + ["high"] * 5)))
    >>> prepared.train_inputs.shape, prepared.task, prepared.classes
    (torch.Size([8, 2]), 'classes', ('high', 'low'))
    """
    require_seed(seed)
    if isinstance(drop, str):
        drop = (drop,)
    table, target = gather(source, target)
    columns = judge(table, target, drop)
    answer = read_target(table, target, task)
    frame = table.frame.filter(answer.known)
    classes = answer.task == "classes"
    groups = answer.codes if classes else np.zeros(frame.height, dtype=np.int64)
    train_rows, heldout_rows = split(np.asarray(groups, dtype=np.int64), seed)
    train, heldout = frame[train_rows], frame[heldout_rows]
    if not 0 <= sample < heldout.height:
        raise PipetraceError(
            f"There is no held-out row {sample}: {table.name} has {heldout.height} of them, "
            f"numbered from 0. Write a sample from 0 to {heldout.height - 1}."
        )
    columns = [_varied(column, train, table.kinds) for column in columns]
    features = [column for column in columns if column.role == "feature"]
    if not features:
        raise TableError(_no_feature(table.name, columns))
    encoded = encode(train, heldout, features)
    names = _unique(name for inputs in encoded.inputs for name in inputs)
    mean, std = _target_statistics(answer, train_rows, table.name)
    columns = [_with_inputs(column, encoded, names) for column in columns]
    stages = describe(
        table,
        columns,
        answer,
        (train, heldout),
        (answer.codes[train_rows], answer.codes[heldout_rows]),
        encoded,
        names,
        seed=seed,
        sample=sample,
        statistics=(mean, std),
    )
    return Prepared(
        name=table.name,
        target=target,
        task=answer.task,
        train_inputs=_inputs(encoded.train_standard),
        train_targets=_targets(answer.codes[train_rows], mean, std),
        heldout_inputs=_inputs(encoded.heldout_standard),
        heldout_targets=_targets(answer.codes[heldout_rows], mean, std),
        names=names,
        classes=answer.classes,
        target_mean=mean,
        target_std=std,
        facts=(
            *columns,
            *stages,
            *(
                Dataset(
                    role=role,
                    rows=part.height,
                    features=(len(names),),
                    name=table.name,
                    names=names,
                    classes=answer.classes,
                )
                for role, part in (("training", train), ("evaluation", heldout))
            ),
            *table.notices,
            *_clipped(encoded, table.name),
            *find_leaks(table.name, train, features, answer, answer.codes[train_rows]),
        ),
    )


def without_values(fact: Fact) -> Fact:
    """Take the cells of the sample's row out of a fact; names and statistics stay.

    >>> stage = Preparation(index=0, name="read", words="", before=(2, 1), after=(2, 1), row=("7",))
    >>> without_values(stage).row
    ()
    """
    return msgspec.structs.replace(fact, row=()) if isinstance(fact, Preparation) else fact


def _varied(column: Column, train: pl.DataFrame, kinds: dict[str, str]) -> Column:
    if column.role != "feature":
        return column
    where = "in every row of the training part"
    same = same_everywhere(train[column.name], kinds[column.name], where)
    return leave_out(column, same) if same else column


def _no_feature(name: str, columns: Sequence[Column]) -> str:
    reasons = "; ".join(
        f"'{shorten(column.name)}': {column.reason}"
        for column in columns
        if column.role == "left out"
    )
    because = f"all others were left out ({reasons})" if reasons else "it is the only column"
    return (
        f"{name}: besides the target there is no column to learn from: {because}. Give the table "
        "a column of numbers, categories, booleans or dates."
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Number names that inputs of different columns would share."""
    chosen: dict[str, None] = {}
    for name in names:
        own, number = name, 1
        while own in chosen:
            number += 1
            own = f"{name} ({number})"
        chosen[own] = None
    return tuple(chosen)


def _with_inputs(column: Column, encoded: Encoded, names: Sequence[str]) -> Column:
    if column.role != "feature":
        return column
    place = encoded.columns.index(column.name)
    first = sum(len(inputs) for inputs in encoded.inputs[:place])
    own = tuple(names[first : first + len(encoded.inputs[place])])
    return msgspec.structs.replace(column, encoded=own)


def _target_statistics(
    answer: Target, train_rows: npt.NDArray[np.int64], name: str
) -> tuple[float | None, float | None]:
    if answer.task == "classes":
        return None, None
    values = answer.codes[train_rows]
    mean, std = float(values.mean()), float(values.std())
    if len(values) < 2 or not std > 0:
        raise TableError(
            f"{name}: the target '{shorten(answer.name)}' does not vary over the {len(values)} "
            f"rows of the training part (mean {mean:.6g}, standard deviation {std:.6g}). Give more "
            "rows."
        )
    return mean, std


def _inputs(matrix: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(matrix).to(torch.float32)


def _targets(codes: Numbers, mean: float | None, std: float | None) -> torch.Tensor:
    if mean is None or std is None:
        return torch.from_numpy(np.asarray(codes, dtype=np.int64))
    return torch.from_numpy((codes - mean) / std).to(torch.float32)


def _clipped(encoded: Encoded, name: str) -> tuple[Notice, ...]:
    if not encoded.clipped:
        return ()
    return (
        Notice(
            id="table-clipped",
            text=f"{name} has {encoded.clipped} held-out cells more than {FARTHEST:.0e} standard "
            "deviations of the training part from its mean: they were set to that distance.",
        ),
    )
