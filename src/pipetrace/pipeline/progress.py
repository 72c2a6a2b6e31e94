"""How far a training is, told in plain numbers at most ten times a second."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

_SECONDS = 0.1


class Moment(NamedTuple):
    """Where a training is; as text, one line of it.

    >>> print(Moment(epoch=3, epochs=20, step=7, steps=9, loss=0.4, rate=0.01, left=65.2))
    epoch 3 of 20, step 7 of 9, loss 0.4000, learning rate 0.01, 0:01:05 left
    """

    epoch: int
    """From 1."""
    epochs: int
    step: int
    """Optimizer steps taken in this epoch."""
    steps: int
    """Optimizer steps of every epoch."""
    loss: float
    """That of the step's batch."""
    rate: float
    """The learning rate."""
    left: float
    """Seconds until the end, if all steps take as long as those before."""

    def __str__(self) -> str:
        left = datetime.timedelta(seconds=round(self.left))
        return (f"epoch {self.epoch} of {self.epochs}, step {self.step} of {self.steps}, "
                f"loss {self.loss:#.4g}, learning rate {self.rate:g}, {left} left")  # fmt: skip


class Progress:
    """Counts the steps of a training, and tells of the last, and of some before it."""

    def __init__(
        self, tell: Callable[[Moment], object], *, epochs: int, steps: int, rate: float
    ) -> None:  # fmt: skip
        self._tell = tell
        self._epochs, self._steps, self._rate = epochs, steps, rate
        self._done = 0
        self._began = time.monotonic()
        self._due = self._began + _SECONDS

    def step(self, loss: torch.Tensor) -> None:
        """A step was taken, on a batch with this loss."""
        self._done += 1
        now = time.monotonic()
        total = self._epochs * self._steps
        if now < self._due and self._done < total:
            return
        self._due = now + _SECONDS
        epoch, step = divmod(self._done - 1, self._steps)
        left = (now - self._began) / self._done * (total - self._done)
        self._tell(Moment(epoch + 1, self._epochs, step + 1, self._steps, loss.item(), self._rate,
                          left))  # fmt: skip
