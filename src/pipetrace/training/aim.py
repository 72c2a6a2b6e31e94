"""Which steps are measured: the one expected to be an epoch's last, and powers of two without."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from pipetrace.parts import Layer
from pipetrace.training.layers import Gauge
from pipetrace.training.strands import Strand


class Aim:
    """Arms a gauge right before the steps that are due, so that others cost one comparison.

    Gradients may be zeroed right after a step: it has to be known before that it is to be measured.
    An epoch is expected to be as long as the one before. Of an epoch whose length is unknown the
    steps 1, 2, 4, 8, ... are measured, each in place of the last.

    Args:
        ask: Asks to hear the next step begin.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self.after = -1
        """Steps of the epoch after which the next one is due; -1 for none."""
        self._ask = ask
        self._coming: Gauge | None = None
        self._taken: Gauge | None = None
        self._turns = 0
        """Optimizers that take turns, and are still to be measured in turn."""

    def restart(self) -> None:
        """Another run of training has begun, with its first step."""
        self._coming, self._taken, self.after = None, None, 1

    def ready(self, strand: Strand) -> None:
        """The next step is due."""
        self.after = -1
        if strand.model is not None and strand.optimizers:
            self._turns = strand.turns()
            self._coming = Gauge(strand.model)
            self._ask()

    def begin(
        self, optimizer: torch.optim.Optimizer, closure: bool, model: nn.Module | None = None
    ) -> None:
        """A step begins; `model` is given where it is the program's very first."""
        if model is not None:
            self._coming = Gauge(model)
        if self._coming is not None:
            self._coming.before_step(optimizer, closure)

    def end(self, step: int, strand: Strand | None) -> None:
        """The step that began has been made: it is this one of the epoch."""
        if self._coming is None:
            return
        self._coming.after_step(step)
        if self._coming.step == step:
            self._taken = self._coming
        self._turns -= 1
        if self._turns > 0:
            self._ask()
        else:
            self._coming = None
            self.after = max(step, 2 * step - (1 if strand is None else strand.turns()))

    def take(self) -> tuple[int, tuple[Layer, ...], bool]:
        """Return what the epoch has: which step, its layers, and whether they are exact."""
        gauge, self._coming, self._taken, self.after = self._taken, None, None, -1
        layers = () if gauge is None else gauge.layers()
        return (gauge.step, layers, gauge.exact) if gauge and layers else (0, (), True)

    def expect(self, strand: Strand, steps: int) -> None:
        """Another epoch begins, expected to have so many steps."""
        self.after = max(0, steps - strand.turns())
        if self.after == 0:
            self.ready(strand)
