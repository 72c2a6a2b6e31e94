"""The first rows of the evaluation that the prediction is about are kept, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from pipetrace.capture import trees
from pipetrace.training.probe import Fixed
from pipetrace.training.tallies import Seen

ROWS = 256
_BYTES = 4_000_000
_BATCHES = 16
"""Batches that cannot be put together, for their rows have different shapes."""


class Batch(msgspec.Struct):
    """Rows of one forward of an evaluation."""

    seen: Seen
    first: int
    """The number of its first row in the evaluation."""
    rows: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: torch.Tensor | None = None
    """Row by row; of targets for parts of a row (tokens), those of a row side by side."""
    parts: bool = False
    """Whether a row has several targets that the loss function gets as rows of their own."""

    def take_target(self, target: torch.Tensor) -> None:
        """Keep the rows' truth."""
        size, rows = target.shape[0] if target.dim() else 0, self.seen.rows
        if not size or not rows or size % rows:
            return
        self.parts = size > rows
        if self.parts:
            target = target.reshape(rows, size // rows, *target.shape[1:])
        self.target = target[: self.rows].detach().clone()

    def single(self) -> torch.Tensor | None:
        """Return the one tensor that the model takes, where it takes nothing else."""
        one = len(self.args) == 1 and not self.kwargs and isinstance(self.args[0], torch.Tensor)
        return self.args[0] if one else None


class Kept:
    """Rows of one evaluation, copied when they were evaluated: at most 256, in 4 MB."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.total = 0
        """How many rows the evaluation had; 0 until it is over."""
        self._bytes = 0
        self._full = False

    @property
    def rows(self) -> int:
        """How many rows are kept."""
        return sum(batch.rows for batch in self.batches)

    def add(self, seen: Seen, first: int, args: Any, kwargs: Any) -> None:
        """Keep the rows of a forward, as far as there is room.

        Args:
            seen: The forward.
            first: The number of its first row in the evaluation.
            args: What the model was called with.
            kwargs: The same, by name.
        """
        if self._full or not seen.rows:
            return
        tensors = [tensor for _, tensor in trees.leaves((args, kwargs))]
        size = max(1, sum(t.numel() * t.element_size() for t in tensors) // seen.rows)
        rows = min(seen.rows, ROWS - self.rows, (_BYTES - self._bytes) // size)
        self._full = rows < seen.rows or self.rows + rows >= ROWS
        if rows < 1:
            return

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return trees.part(tensor, seen.rows, 0, rows).detach().clone()

        with torch.inference_mode(False), torch.no_grad():
            args, kwargs = trees.rebuild(args, cut), trees.rebuild(kwargs, cut)
        self._bytes += size * rows
        self.batches.append(batch := Batch(seen, first, rows, args, kwargs))
        self._full = self._full or (batch.single() is None and len(self.batches) >= _BATCHES)

    def take_target(self, seen: Seen, target: torch.Tensor) -> None:
        """Keep the truth of a forward's rows; the loader's is replaced by the loss function's."""
        for batch in self.batches:
            if batch.seen is seen:
                batch.take_target(target)

    def settle(self, group: Sequence[Seen], total: int) -> None:
        """The evaluation is over: the rows of other forwards go."""
        if not self.total:
            self.batches = [batch for batch in self.batches if batch.seen in group]
            self.total, self._full = total, True


def of(fixed: Fixed, model: int) -> Kept:
    """Return the probe's rows, which were trained on, where nothing was evaluated."""
    kept, rows = Kept(), int(fixed.target.shape[0])
    seen = Seen(model, False, rows, 0, None)
    kept.add(seen, 0, fixed.args, fixed.kwargs)
    kept.take_target(seen, fixed.target)
    kept.settle([seen], rows)
    return kept
