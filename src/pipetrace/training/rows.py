"""Which rows were trained on: rows are known by their own numbers, read once."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch

_COLUMNS = 64
_MOST = 50_000
_numbers = itertools.count()


class Rows:
    """Collects fingerprints of training rows in the first epoch, and finds them in evaluations."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._waiting: list[torch.Tensor] = []
        self._count = 0
        self.full = False

    def add(self, batch: torch.Tensor) -> None:
        """Keep the columns of a batch of training rows."""
        if self.full:
            return
        self._waiting.append(batch)
        self._count += int(batch.shape[0])
        self.full = self._count > _MOST

    def share(self, batches: list[torch.Tensor]) -> float | None:
        """Return which share of rows, given as columns, was trained on; None if unknown."""
        if self.full or not self._count or not batches:
            return None
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
    if batch.dim() < 2 or batch.layout != torch.strided or batch.is_nested:
        return None
    flat = batch.detach().flatten(1)
    step = -(-flat.shape[1] // _COLUMNS)
    return flat[:, ::step].clone()


def _prints(batch: torch.Tensor) -> list[bytes]:
    array: Any = batch.cpu()
    if array.dtype == torch.bfloat16:
        array = array.view(torch.int16)
    return [row.tobytes() for row in array.numpy()]
