"""Rows are split before any statistic is taken, by a permutation that the seed decides."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from pipetrace.errors import PipetraceError

Rows = npt.NDArray[np.int64]
SHARE = 0.2
"""Share of the rows that is held out."""


def require_seed(seed: Any) -> None:
    """Refuse what is no seed.

    Raises:
        PipetraceError: the seed is no whole number from 0 to 2**63 - 1.
    """
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**63:
        raise PipetraceError(
            f"The seed is {seed!r}: write a whole number from 0 up, for example 0."
        )


def split(groups: npt.NDArray[np.int64], seed: int) -> tuple[Rows, Rows]:
    """Hold out a fifth of each group, and at least one row where the group has two.

    Args:
        groups: int64 of shape (rows,): the class of each row, or zeros for no groups.
        seed: Seed of the permutation.

    Returns:
        Row numbers of the training part and of the held-out part, both int64 and ascending.

    >>> train, heldout = split(np.array([0, 0, 0, 0, 0, 1, 1]), seed=0)
    >>> len(train), len(heldout)
    (5, 2)
    """
    generator = np.random.default_rng(seed)
    heldout = []
    for group in np.unique(groups):
        rows = generator.permutation(np.flatnonzero(groups == group))
        count = min(max(1, round(SHARE * len(rows))), len(rows) - 1)
        heldout.append(rows[:count])
    out = np.sort(np.concatenate(heldout))
    return np.setdiff1d(np.arange(len(groups)), out), out
