"""Which rows were trained on: rows are known by their own numbers, read once."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch

from pipetrace.parts import telling

_COLUMNS = 64
_MOST = 50_000
_LATER = 2_000
_TWINS = 0.02
"""Share of training rows equal to another from which on equal rows tell nothing."""
_numbers = itertools.count()


class Rows:
    """Collects fingerprints of the first epoch's training rows, and finds them in evaluations."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._waiting: list[torch.Tensor] = []
        self._later: list[torch.Tensor] = []
        self._count = self._more = 0
        self._again = self._looked = 0
        """Rows of the second epoch that the first one had, and of how many."""
        self.full = False

    def add(self, batch: torch.Tensor, epochs: int = 0) -> None:
        """Keep the columns of a batch of training rows, which `epochs` epochs had come before."""
        rows = int(batch.shape[0])
        if epochs and self._more < _LATER:
            self._more += rows
            self._later.append(batch)
        elif not epochs and not self.full:
            self._waiting.append(batch)
            self._count += rows
            self.full = self._count > _MOST

    def share(self, batches: list[torch.Tensor]) -> float | None:
        """Return which share of rows, given as columns, equals rows trained on.

        None if that is unknown, or could not tell: where training rows equal each other often,
        others will equal them by chance; where few come again (drawn anew, or changed at random),
        none need equal them though all come from the same data.
        """
        if self.full or not self._count or not batches:
            return None
        found = self._share(batches)
        if found:
            twins = 1 - len(self._seen) / self._count
            return found if twins <= _TWINS else None
        rows = sum(batch.shape[0] for batch in batches)
        return found if telling(self.repeated(), rows) else None

    def repeated(self) -> float | None:
        """Return which share of the second epoch's rows the first epoch had; None if unknown."""
        if self._later and self._count and not self.full:
            looked = sum(batch.shape[0] for batch in self._later)
            self._again += round((self._share(self._later) or 0.0) * looked)
            self._looked += looked
            self._later = []
        return self._again / self._looked if self._looked else None

    def _share(self, batches: list[torch.Tensor]) -> float | None:
        for batch in self._waiting:
            self._seen.update(_prints(batch))
        self._waiting.clear()
        prints = [p for batch in batches for p in _prints(batch)]
        return sum(p in self._seen for p in prints) / len(prints) if prints else None


class Numbers:
    """Numbers objects as `id` does, and never gives a number again."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[weakref.ref[Any], int]] = {}

    def of(self, thing: Any) -> int:
        """Return the number of an object; its `id` where its death cannot be noticed."""
        known = self._of.get(id(thing))
        if known is None or known[0]() is not thing:
            self._of = {k: v for k, v in self._of.items() if v[0]() is not None}
            try:
                known = self._of[id(thing)] = (weakref.ref(thing), next(_numbers))
            except TypeError:
                return id(thing)
        return known[1]


class Places:
    """Where batches lie: equal answers in a row mean the same rows of the same tensor.

    An address alone does not tell: memory that was freed is given out again.
    """

    def __init__(self) -> None:
        self._owners = Numbers()

    def of(self, tensor: torch.Tensor) -> tuple[int, int] | None:
        """Return a number for the tensor that owns the memory, and the address in it."""
        try:
            owner, where = tensor if tensor._base is None else tensor._base, tensor.data_ptr()
        except RuntimeError:
            return None
        return self._owners.of(owner), where


def columns(batch: torch.Tensor) -> torch.Tensor | None:
    """Clone at most 64 evenly spread numbers of each row; None for rows without columns."""
    if batch.dim() < 2 or batch.layout != torch.strided or batch.is_nested or batch.is_quantized:
        return None
    flat = batch.detach().flatten(1)
    step = -(-flat.shape[1] // _COLUMNS)
    return flat[:, ::step].clone()


def _prints(batch: torch.Tensor) -> list[bytes]:
    array: Any = batch.cpu()
    if array.dtype == torch.bfloat16:
        array = array.view(torch.int16)
    return [row.tobytes() for row in array.numpy()]
