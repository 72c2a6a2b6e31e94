"""The evaluated rows that the trained model gets most wrong, and those it is least certain of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipetrace.blocks import AnyBlock, Head, Table
from pipetrace.records import Ranked, Ranking
from pipetrace.story.figures import losses, number, whole

Naming = Callable[[float | None], str]


def tables(found: Ranking, name: Naming) -> list[AnyBlock]:
    """Return a table of the most wrong rows and one of the least certain ones.

    Args:
        found: the ranking.
        name: writes a class.
    """
    told: list[AnyBlock] = []
    if found.wrong:
        words = f"Most wrong: the rows of highest loss, {looked(found)}"
        told.append(_table(found, found.wrong, name, words, certain=False))
    if found.uncertain:
        words = f"Least certain: the two highest probabilities lie closest, {looked(found)}"
        told.append(_table(found, found.uncertain, name, words, certain=True))
    return told


def looked(found: Ranking) -> str:
    """Say over which rows was ranked, and with which weights.

    >>> looked(Ranking(training=0, rows=256, total=500, heldout=True, task="classes"))
    'of the first 256 of 500 held-out rows, at the last weights, dropout off'
    """
    kind = {True: "held-out ", False: "training ", None: "evaluated "}[found.heldout]
    some = f"first {whole(found.rows)} of " if found.rows < found.total else ""
    of = f"of the {some}{whole(found.total)} {kind}rows"
    return f"{of}, at the last weights, dropout off"


def _table(
    found: Ranking, rows: Sequence[Ranked], name: Naming, caption: str, *, certain: bool
) -> Table:
    heads = [Head(label="sample", number=True)]
    columns = [[whole(row.sample) for row in rows]]
    if found.task == "values" and any(row.predicted is not None for row in rows):
        for label, values in (
            ("truth", [row.truth for row in rows]),
            ("predicted", [row.predicted for row in rows]),
            ("error", [_error(row) for row in rows]),
        ):
            heads.append(Head(label=label, number=True))
            columns.append(["–" if value is None else number(value) for value in values])
    elif any(row.predicted is not None for row in rows):
        heads += [Head(label="true"), Head(label="predicted")]
        columns += [[name(row.truth) for row in rows], [name(row.predicted) for row in rows]]
        heads.append(Head(label="probability", number=True, note="of the predicted class"))
        columns.append([_share(row.probability) for row in rows])
        if certain:
            note = "the highest probability minus the second highest"
            heads.append(Head(label="margin", number=True, note=note))
            columns.append([_share(row.margin) for row in rows])
        else:
            heads.append(Head(label="of the true class", number=True, note="its probability"))
            columns.append([_share(row.true_probability) for row in rows])
    if any(row.loss is not None for row in rows):
        heads.append(Head(label="loss", number=True, note="of this row alone"))
        columns.append(losses([row.loss for row in rows]))
    return Table(heads=tuple(heads), rows=tuple(zip(*columns, strict=True)), caption=caption)


def _error(row: Ranked) -> float | None:
    known = row.predicted is not None and row.truth is not None
    return row.predicted - row.truth if known else None  # type: ignore[operator]  # both known


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}"
