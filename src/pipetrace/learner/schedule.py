"""When a card comes again: FSRS-6, replayed from the times and ratings of its reviews."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pipetrace.errors import PipetraceError
from pipetrace.learned import Review

if TYPE_CHECKING:
    from fsrs import Scheduler

RETENTION = 0.9
"""The probability of remembering at which a card is due."""
DAY = 86_400_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """When a card is due, and what its memory is like."""

    due_ms: int
    """Milliseconds since 1970, UTC."""
    stability: float
    """Days until the probability of remembering is 90 %."""
    difficulty: float
    """From 1 to 10."""
    state: str
    """`learning`, `review` or `relearning`."""


def weights() -> tuple[float, ...]:
    """Return the 21 default parameters of FSRS-6, w0 to w20.

    Raises:
        PipetraceError: the package fsrs is missing.
    """
    return tuple(_scheduler().parameters)


def schedule(reviews: Sequence[Review]) -> dict[str, Due]:
    """Replay reviews, and return for each card that was reviewed when it comes again.

    Nothing is drawn: the same reviews give the same times. Reviews are taken in the order of their
    times; those of one time as they are given. With w the parameters, r the rating (1 again,
    2 hard, 3 good, 4 easy), S the stability, D the difficulty, and t the whole days since the
    card's last review (24 hours each, rounded down):

    * memory: R(t) = (1 + F t/S)^(-w20), with F = 0.9^(-1/w20) - 1.
    * first review: S = w[r-1]; D = D0(r) held between 1 and 10, with
      D0(r) = w4 - exp(w5 (r - 1)) + 1.
    * every later one, difficulty: D' = w7 D0(4) + (1 - w7) (D - w6 (r - 3) (10 - D)/9), held
      between 1 and 10; D0(4) is not held there.
    * later one, t = 0, stability: S' = S f with f = exp(w17 (r - 3 + w18)) S^(-w19), and f at
      least 1 for hard, good and easy.
    * later one, t > 0, remembered: S' = S (1 + exp(w8) (11 - D) S^(-w9) (exp(w10 (1 - R)) - 1)
      h e), with h = w15 for hard and e = w16 for easy, else 1.
    * later one, t > 0, forgotten (r = 1): S' is the smaller of
      w11 D^(-w12) ((S + 1)^w13 - 1) exp(w14 (1 - R)) and S / exp(w17 w18).
    * Both use the D from before the review. S is at least 0.001.

    A card is `learning` at step 0 when it is new. The steps are 1 and 10 minutes:

    * again: step 0, due in 1 minute.
    * hard: the step stays; due in 5.5 minutes at step 0, the mean of both, in 10 at step 1.
    * good: from step 0 to step 1, due in 10 minutes; from step 1 to `review`.
    * easy: `review`.

    In `review` again leads to `relearning`, due in 10 minutes; the others stay. `relearning` has
    one step: again, due in 10 minutes; hard, in 15; good and easy lead to `review`. A card that is
    in `review` after a rating is due in I = S'/F (0.9^(-1/w20) - 1) = S' days, rounded to whole
    ones (half to the even one), at least 1 and at most 36,500: exactly I times 24 hours later.

    Source: the algorithm FSRS-6 as the package fsrs has it, by the open-spaced-repetition project;
    J. Ye, J. Su, Y. Cao, A stochastic shortest path algorithm for optimizing spaced repetition
    scheduling, KDD 2022.

    Raises:
        PipetraceError: the package fsrs is missing.
    """
    from_first = sorted(reviews, key=lambda review: review.at)
    if not from_first:
        return {}
    scheduler = _scheduler()
    from fsrs import Card, Rating

    cards: dict[str, Card] = {}
    for review in from_first:
        # Without an id of ours a card would wait a millisecond to have one of its own.
        card = cards[review.card] if review.card in cards else Card(card_id=len(cards) + 1)
        at = _BEGINNING + timedelta(milliseconds=review.at)
        cards[review.card] = scheduler.review_card(card, Rating(review.rating), at)[0]
    return {
        name: Due(
            due_ms=(card.due - _BEGINNING) // _MILLISECOND,
            stability=float(card.stability or 0.0),
            difficulty=float(card.difficulty or 0.0),
            state=card.state.name.lower(),
        )
        for name, card in cards.items()
    }


def due(cards: Iterable[str], reviews: Sequence[Review], now_ms: int) -> list[str]:
    """Return the cards to look at now: those that are due, the longest first, then the new ones.

    Args:
        cards: The ids of all cards, in the order in which new ones come.
        reviews: What was reviewed before.
        now_ms: The time, in milliseconds since 1970, UTC.

    Raises:
        PipetraceError: the package fsrs is missing.
    """
    known, every = schedule(reviews), list(cards)
    waiting = [card for card in every if card in known and known[card].due_ms <= now_ms]
    waiting.sort(key=lambda card: known[card].due_ms)
    return waiting + [card for card in every if card not in known]


def _scheduler() -> Scheduler:
    try:
        from fsrs import Scheduler
    except ImportError as error:
        raise PipetraceError(
            f"To schedule cards the package {error.name} is needed, which is not installed: "
            'pip install "pipetrace[learn]"'
        ) from None
    return Scheduler(desired_retention=RETENTION, enable_fuzzing=False)
