"""The prediction's row, and beside it those that the model got most wrong or was unsure of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipetrace.capture.handlers import pass_on
from pipetrace.records import Fact, Notice, Op, Ranking
from pipetrace.training import kept as keeping
from pipetrace.training import prediction
from pipetrace.training.kept import Kept
from pipetrace.training.prediction import Chosen, Traced
from pipetrace.training.ranking import Look, look, rank
from pipetrace.training.strands import Strand
from pipetrace.training.tallies import Seen

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder

_OPS = 400
"""So many ops of other rows are traced in all."""
_ROLES = ("wrong", "uncertain", "wrong", "uncertain")
_WORK = 2e9
"""Floating-point operations that cost next to nothing."""
_SHARE = 0.03
"""Rows may go through the model that come to this share of those trained on."""


def predict(
    recorder: Recorder, chosen: Chosen, strand: Strand | None, kept: Kept
) -> list[Fact]:  # fmt: skip
    """State the prediction for the chosen row, the ranking, and predictions for a few others.

    Args:
        recorder: Whose program has ended.
        chosen: The row that was asked for.
        strand: The training in progress.
        kept: Rows of the evaluation that the chosen row is of.

    Returns:
        The facts; the prediction for the chosen row is the last. A notice says why there is none.
    """
    traced = prediction.trace(recorder, chosen, strand)
    if isinstance(traced, Notice):
        return [traced]
    rows = _rows(traced, strand)
    told = prediction.spreading(traced, strand, rows)
    facts, others = list(traced.facts), []
    if strand is not None and recorder.values:
        try:
            others = list(_others(recorder, chosen, strand, kept, traced, rows))
        except Exception as error:
            pass_on(error)
    return [*facts, *others, told]


def _rows(traced: Traced, strand: Strand | None) -> float:
    """Return how many rows may go through the model without being noticed."""
    ops = [fact for fact in traced.facts if isinstance(fact, Op)]
    numbers = (tensor.count for op in ops for tensor in op.outputs)
    work = sum(op.flops or 0 for op in ops) + sum(numbers)
    return max(_WORK / max(1, work), _SHARE * (strand.trained if strand else 0))


def _others(
    recorder: Recorder, chosen: Chosen, strand: Strand, kept: Kept, traced: Traced, rows: float
) -> Iterator[Fact]:  # fmt: skip
    if not kept.batches and strand.fixed is not None and chosen.heldout is False:
        # Of rows that were evaluated, and are too large to be kept, others tell nothing.
        kept = keeping.of(strand.fixed, strand.model_id)
    if chosen.seen.model != strand.model_id or not kept.batches:
        return
    looks = look(traced.call, kept, strand, int(min(rows, keeping.ROWS)))
    found = rank(looks, kept, strand, chosen.heldout)
    if found is None:
        return
    yield found
    count = sum(isinstance(fact, Op) for fact in traced.facts)
    taken = _taken(found, chosen.sample, _OPS // max(1, count))
    places = {each.ranked.sample: each for each in looks}
    for role, sample in taken:
        row = _row(places[sample], chosen)
        other = prediction.trace(recorder, row, strand, role=role)
        if isinstance(other, Notice):
            return
        yield from other.facts
        yield prediction.spreading(other, strand, rows / len(_ROLES))


def _taken(found: Ranking, chosen: int, most: int) -> list[tuple[str, int]]:
    """Choose rows in turn from both lists, none twice; the most wrong ones come first."""
    taken: list[tuple[str, int]] = []
    lists = {"wrong": found.wrong, "uncertain": found.uncertain}
    for role in _ROLES[:most]:
        known = {chosen, *(sample for _, sample in taken)}
        free = (each.sample for each in lists[role] if each.sample not in known)
        sample = next(free, None)
        if sample is not None:
            taken.append((role, sample))
    return sorted(taken, key=lambda pair: pair[0] != "wrong")


def _row(found: Look, chosen: Chosen) -> Chosen:
    batch = found.batch
    seen = Seen(chosen.seen.model, False, batch.rows, 0, None)
    row = Chosen(seen, found.row, found.ranked.sample, batch.args, batch.kwargs)
    row.heldout = chosen.heldout
    if batch.target is not None:
        row.take_target(batch.target)
    return row
