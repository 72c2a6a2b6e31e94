"""How much observing may cost a run that was not asked to be checked."""

from __future__ import annotations

import time

SECONDS = 0.25
"""So much is always allowed: the whole of a small loop."""
SHARE = 0.03
"""Of the time since the beginning, once that is more."""
FORWARD = 0.1
"""A forward that takes more seconds is not played again."""
CAPTURES = 3
"""Forwards of one model that are played again."""
MODELS = 2
"""Models that are kept alive until the program has ended, to be played again."""
TRIALS = 1.0
"""Seconds for all trials together."""


class Allowance:
    """Counts what observing has cost so far.

    Attributes:
        used: Seconds of this thread.
    """

    def __init__(self) -> None:
        self.used = 0.0
        self._begun = time.perf_counter()

    def spend(self, since: float) -> None:
        """Add what this thread did since a moment of `time.thread_time`."""
        self.used += time.thread_time() - since

    def over(self, apart: float) -> bool:
        """Tell whether more was used than is allowed.

        Args:
            apart: Seconds that do not count: forwards are played again a few times only.
        """
        allowed = max(SECONDS, SHARE * (time.perf_counter() - self._begun))
        return self.used - apart > allowed
