"""One row goes through the model many times, with dropout on and everything else in eval mode."""

from __future__ import annotations

from typing import Any

import torch

from pipetrace.capture import replay
from pipetrace.capture.handlers import pass_on
from pipetrace.parts import Spread
from pipetrace.training import scores
from pipetrace.training.strands import Strand

DRAWS = 100
FEW = 20
"""Draws where the rows of a batch have no masks of their own, so that each takes a forward."""
_AT_ONCE = 100_000_000
"""Numbers that the copies may make together: a program's own batches may be far smaller."""
_MOST = 64
_SEED = 20_270_000


def spread(
    call: replay.Call, first: Any, strand: Strand | None, rows: float, numbers: int
) -> Spread | None:  # fmt: skip
    """Measure what the model gives for one row over many draws of dropout.

    On is what drew random numbers in the training forward, in the mode that the loop gave it.

    Args:
        call: The forward of the one row.
        first: What it gave in eval mode.
        strand: The training that knows the loss function.
        rows: How many rows may go through the model for it.
        numbers: How many numbers the model makes of one row.

    Returns:
        None where nothing draws, it would take too long, or the model refuses.
    """
    fixed = None if strand is None else strand.fixed
    if strand is None or fixed is None or strand.call is None or strand.pairing is None:
        return None
    known = fixed.model() is call.model and len(fixed.modes) == len(call.snapshot.insides)
    if not known or not fixed.random or rows < FEW:
        return None
    try:
        with torch.no_grad():
            room = rows >= 2 * DRAWS and numbers * DRAWS <= _AT_ONCE
            found = _together(call, first, strand) if room else None
            if found is None:
                found = _alone(call, strand)
            return None if found is None else _told(found, strand.call.name)
    except Exception as error:
        pass_on(error)
        return None


def _together(call: replay.Call, first: Any, strand: Strand) -> torch.Tensor | None:
    """Draw for a batch of copies of the row; None where its rows do not stand for themselves."""
    fixed, pairing = strand.fixed, strand.pairing
    single = len(call.args) == 1 and not call.kwargs and isinstance(call.args[0], torch.Tensor)
    if not single or fixed is None or pairing is None or call.args[0].shape[:1] != (1,):
        return None
    row = call.args[0]
    many = call._replace(args=(row.expand(DRAWS, *row.shape[1:]).clone(),))
    alone = pairing.of(first).detach()
    off = pairing.of(replay.play(many, False))
    if alone.shape[:1] != (1,) or off.shape != (DRAWS, *alone.shape[1:]):
        return None
    if not torch.allclose(off, alone.expand_as(off), rtol=1e-3, atol=1e-5):
        return None
    on = pairing.of(replay.play(many, fixed.modes, seed=_SEED)).detach()
    # One mask for all rows of a batch is one draw.
    return None if bool((on == on[:1]).all()) else on


def _alone(call: replay.Call, strand: Strand) -> torch.Tensor | None:
    fixed, pairing = strand.fixed, strand.pairing
    if fixed is None or pairing is None:
        return None
    drawn = [
        pairing.of(replay.play(call, fixed.modes, seed=_SEED + number)).detach()
        for number in range(FEW)
    ]
    rows = torch.stack([each[0] if each.shape[:1] == (1,) else each for each in drawn])
    return None if bool((rows == rows[:1]).all()) else rows


def _told(drawn: torch.Tensor, name: str) -> Spread | None:
    """State quantiles of probabilities, where the loss function says that it means these."""
    task, draws = scores.task(name), drawn.shape[0]
    numbers = drawn.reshape(draws, -1).cpu().double()
    if not 0 < numbers.shape[1] <= _MOST:
        return None
    kind, votes = "outputs", None
    if task == "classes" and drawn.dim() == 2:
        kind, numbers = "probabilities", numbers.softmax(1)
        votes = numbers.argmax(1).bincount(minlength=numbers.shape[1])
    elif task == "binary":
        kind, numbers = (
            "probabilities",
            numbers if name == "binary_cross_entropy" else (numbers.sigmoid()),
        )
        votes = (numbers[:, 0] > 0.5).long().bincount(minlength=2)
        votes = votes if numbers.shape[1] == 1 else None
    low, high = (torch.quantile(numbers, edge, dim=0) for edge in (0.05, 0.95))
    return Spread(
        draws=draws, kind=kind, low=tuple(low.tolist()), mean=tuple(numbers.mean(0).tolist()),
        high=tuple(high.tolist()), votes=() if votes is None else tuple(votes.tolist()),
    )  # fmt: skip
