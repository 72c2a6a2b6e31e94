"""What an epoch took: the time of its training, and the memory at its end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import torch

from pipetrace.capture.guard import cuda_in_use


class Clock:
    """Adds up the time of training, without what happens between and what recording costs.

    Attributes:
        opened: When the batches of the pass in progress began, 0 if that is not known.
        last: When the last step ended.
    """

    def __init__(self) -> None:
        self.opened = 0.0
        self.last = time.perf_counter()
        self._since = self.last
        self._seconds = 0.0
        self._costs = 0.0
        self._left: float | None = None

    def leave(self, costs: float) -> None:
        """A forward that is no training has been made, after this much recording in all."""
        self._left = costs

    def resume(self, costs: float) -> None:
        """Training goes on: what was done since the last step was something else."""
        self._add(costs)
        self._since = self.opened if self.opened > self.last else time.perf_counter()
        self._costs = costs

    def close(self, costs: float) -> float:
        """Return the seconds of the epoch that has ended, and begin with the next."""
        self._add(costs)
        seconds, self._seconds = self._seconds, 0.0
        self._since, self._costs = self.last, costs
        return seconds

    def _add(self, costs: float) -> None:
        own = (costs if self._left is None else self._left) - self._costs
        self._seconds += max(0.0, self.last - self._since - own)
        self._left = None


def memory() -> tuple[int | None, str]:
    """Return the bytes in use and of which kind they are, as `records.Epoch` says."""
    if cuda_in_use():
        # Resetting the peak would change what the program reads of it.
        counts = range(torch.cuda.device_count())
        return sum(torch.cuda.max_memory_allocated(index) for index in counts), "accelerator"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), "resident"
    with contextlib.suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024, "resident peak"
    return None, ""
