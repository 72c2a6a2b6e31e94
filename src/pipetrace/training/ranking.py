"""The trained model predicts the rows that were kept, and those are named that it gets wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from pipetrace.capture import replay
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.quiet import unheard
from pipetrace.records import Ranked, Ranking
from pipetrace.training import scores
from pipetrace.training.kept import Batch, Kept
from pipetrace.training.scores import LossCall
from pipetrace.training.signals import original
from pipetrace.training.strands import Strand

MOST = 8
_TOGETHER = 64
"""So many rows go through the model at once, if the evaluation's batches had no more."""
_REDUCING = {"reduction", "size_average", "reduce"}


class Look(NamedTuple):
    """One kept row, where it lies, and what the model made of it."""

    batch: Batch
    row: int
    ranked: Ranked


def look(call: replay.Call, kept: Kept, strand: Strand, rows: int) -> list[Look]:
    """Let the model predict kept rows in eval mode, at its weights of now.

    Args:
        call: A forward of the model, from which its state is taken.
        kept: The rows.
        strand: The training that knows the loss function.
        rows: So many at most.

    Returns:
        A look for each row, in their order; fewer where the model raises.
    """
    found: list[Look] = []
    if strand.call is None or strand.pairing is None:
        return found
    for batch in _chunks(kept, rows):
        try:
            play = call._replace(args=batch.args, kwargs=batch.kwargs)
            with torch.no_grad():
                given = strand.pairing.of(replay.play(play, False)).detach()
                ranked = _ranked(strand.call, given, batch)
        except Exception as error:
            pass_on(error)
            break
        found += [Look(batch, row, each) for row, each in enumerate(ranked)]
    return found


def rank(looks: list[Look], kept: Kept, strand: Strand, heldout: bool | None) -> Ranking | None:
    """Choose the rows of highest loss and those of smallest margin; None where neither is known."""
    every = [each.ranked for each in looks]
    wrong = [each for each in every if each.loss is not None]
    wrong.sort(key=lambda each: (-_high(each.loss), each.sample))
    uncertain = [each for each in every if each.margin is not None and each.margin == each.margin]
    uncertain.sort(key=lambda each: (each.margin or 0.0, each.sample))
    if not wrong and not uncertain:
        return None
    return Ranking(
        training=strand.id, rows=len(every), total=kept.total, heldout=heldout,
        task="" if strand.call is None else scores.task(strand.call.name),
        wrong=tuple(wrong[:MOST]), uncertain=tuple(uncertain[:MOST]),
    )  # fmt: skip


def _high(loss: float | None) -> float:
    """Return a loss that can be compared; one that is no number is the worst."""
    return math.inf if loss is None or math.isnan(loss) else loss


def _chunks(kept: Kept, rows: int) -> Iterator[Batch]:
    """Yield the rows in few pieces: batches of one tensor are put together."""
    batches, left = kept.batches, rows
    tensors = [batch.single() for batch in batches]
    shapes = {None if t is None else (t.shape[1:], t.dtype, t.device) for t in tensors}
    truths = {None if b.target is None else b.target.shape[1:] for b in batches}
    alike = None not in shapes and len(shapes) == len(truths) == 1
    # One evaluation gives its rows in order, so the first one's number is enough.
    if alike and all(b.first == a.first + a.rows for a, b in pairwise(batches)):
        whole = torch.cat([tensor for tensor in tensors if tensor is not None])
        truth = [batch.target for batch in batches if batch.target is not None]
        target = torch.cat(truth) if truth else None
        size = max(_TOGETHER, *(batch.rows for batch in batches))
        first = batches[0]
        batches = [
            Batch(first.seen, first.first + at, len(piece), (piece,), {},
                  None if target is None else target[at : at + len(piece)], first.parts)
            for at, piece in zip(range(0, len(whole), size), torch.split(whole, size), strict=True)
        ]  # fmt: skip
    for batch in batches:
        if batch.rows > left and batch.single() is None:
            return
        yield batch if batch.rows <= left else _cut(batch, left)
        left -= batch.rows
        if left < 1:
            return


def _cut(batch: Batch, rows: int) -> Batch:
    target = None if batch.target is None else batch.target[:rows]
    return Batch(batch.seen, batch.first, rows, (batch.args[0][:rows],), {}, target, batch.parts)


def _ranked(call: LossCall, given: torch.Tensor, batch: Batch) -> list[Ranked]:
    losses = _losses(call, given, batch)
    truth: list[Any] = [None] * batch.rows
    if batch.target is not None and batch.target.numel() == batch.rows:
        truth = batch.target.reshape(-1).cpu().double().tolist()
    facts: list[dict[str, Any]] = [{} for _ in range(batch.rows)]
    task = scores.task(call.name)
    if task == "classes" and given.dim() == 2 and given.shape[0] == batch.rows:
        facts = [_class(shares, true) for shares, true in zip(_shares(given), truth, strict=True)]
    elif task == "binary" and given.numel() == batch.rows:
        chances = given if call.name == "binary_cross_entropy" else given.sigmoid()
        pairs = zip(chances.reshape(-1).cpu().double().tolist(), truth, strict=True)
        facts = [_class([1 - chance, chance], true) for chance, true in pairs]
    elif task == "values" and given.numel() == batch.rows:
        facts = [{"predicted": value} for value in given.reshape(-1).cpu().double().tolist()]
    return [
        Ranked(sample=batch.first + at, loss=losses[at], truth=truth[at], **facts[at])
        for at in range(batch.rows)
    ]


def _shares(given: torch.Tensor) -> list[list[float]]:
    found: list[list[float]] = given.cpu().double().softmax(-1).tolist()
    return found


def _class(shares: list[float], truth: float | None) -> dict[str, Any]:
    order = sorted(range(len(shares)), key=lambda at: -shares[at])
    known = truth is not None and truth == int(truth) and 0 <= truth < len(shares)
    return {
        "predicted": float(order[0]),
        "probability": shares[order[0]],
        "true_probability": shares[int(truth)] if known and truth is not None else None,
        "margin": shares[order[0]] - shares[order[1]] if len(order) > 1 else None,
    }


def _losses(call: LossCall, given: torch.Tensor, batch: Batch) -> list[float | None]:
    """Call the training's loss function without reduction, and take the mean of each row."""
    nothing: list[float | None] = [None] * batch.rows
    if batch.target is None:
        return nothing
    target = batch.target.flatten(0, 1) if batch.parts else batch.target
    options = {name: value for name, value in call.options.items() if name not in _REDUCING}
    try:
        with unheard():
            each = original(call.name)(given, target, **options, reduction="none")
    except Exception as error:  # it cannot do without, or these targets are other ones
        pass_on(error)
        return nothing
    if not each.dim() or each.numel() % batch.rows:
        return nothing
    counted = torch.ones_like(each)
    if each.shape == target.shape and not target.is_floating_point():
        counted = (target != options.get("ignore_index", -100)).to(each.dtype)
    # Not every device has numbers of 64 bits.
    sums = [part.reshape(batch.rows, -1).cpu().double().sum(1) for part in (each, counted)]
    return [total / count if count else None
            for total, count in zip(sums[0].tolist(), sums[1].tolist(), strict=True)]  # fmt: skip
