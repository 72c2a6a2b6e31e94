"""Each row of a pass of training is known by its numbers, and with it its target."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from pipetrace.capture import trees
from pipetrace.observed import Pairs
from pipetrace.observing.losses import Given, Losses
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Fact

_COLUMNS = 64
"""So many numbers of a row tell it from others."""
_MOST = 20_000
"""Rows of a pass; in a longer one they are not looked up."""
_LATEST = 4
"""Calls whose rows wait for their loss."""
_COVERED = 0.8
"""Share of a pass that the next one has to have again."""


class _Met(NamedTuple):
    """One row of a pass."""

    target: bytes
    batch: int
    before: bytes
    """The row before it in its batch; empty for the first."""


class _Passes:
    """Two passes over the same rows, by batches: the second begins where a row comes again."""

    def __init__(self, loss: int) -> None:
        self._loss = loss
        self._first: dict[bytes, _Met] = {}
        self._second: dict[bytes, _Met] = {}
        self._batches = 0
        self.over = False

    def add(self, rows: list[bytes], targets: list[bytes]) -> None:
        """Take a batch."""
        fresh = set(rows)
        again = not self._first.keys().isdisjoint(fresh)
        current = self._second if self._second or again else self._first
        if len(fresh) < len(rows) or len(current) > _MOST or not fresh.isdisjoint(self._second):
            self.over = True
            return
        self._batches += 1
        for row, target, before in zip(rows, targets, [b"", *rows[:-1]], strict=True):
            current[row] = _Met(target, self._batches, before)

    def told(self) -> Iterator[Pairs]:
        """State what two whole passes showed."""
        both = [row for row in self._first if row in self._second]
        total = max(len(self._first), len(self._second))
        if not both or len(both) < _COVERED * total:
            return
        first, second = self._first, self._second
        one, other = (Counter(met.target for met in each.values()) for each in (first, second))
        yield Pairs(
            loss=self._loss, rows=len(both),
            changed=sum(first[row].target != second[row].target for row in both),
            expected=1 - sum((count / len(first)) ** 2 for count in one.values()),
            kept=sum((one & other).values()) / total, chance=_chance(list(one.values())),
            renamed=self._renamed(both),
            reordered=sum(first[row].before == second[row].before for row in both) * 2 < len(both),
        )  # fmt: skip

    def _renamed(self, both: list[bytes]) -> bool:
        """Tell whether rows that shared a batch and a target in both passes still share one."""
        groups: dict[tuple[int, int, bytes], list[bytes]] = defaultdict(list)
        for row in both:
            met, again = self._first[row], self._second[row]
            groups[met.batch, again.batch, met.target].append(again.target)
        several = [group for group in groups.values() if len(group) > 1]
        return bool(several) and all(len(set(group)) == 1 for group in several)


class Pairing(Witness):
    """The witness of which row came with which target."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._rows: deque[tuple[Turn, list[bytes]]] = deque(maxlen=_LATEST)
        self._passes: dict[tuple[int, int], _Passes] = {}

    def called(self, made: Made, output: Any) -> None:
        """Keep what tells the rows of a batch from each other."""
        if made.graph and not all(each.over for each in self._passes.values() or [_NONE]):
            tensors = trees.tensors((*made.args, *made.kwargs.values()))
            rows = tensors[0].size(0) if tensors and tensors[0].dim() else 0
            alike = [each for each in tensors if each.dim() and each.size(0) == rows]
            if rows > 1 and all(each.layout is torch.strided for each in alike):
                self._rows.append((made.turn, _prints(alike, rows)))

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Bring the targets to their rows."""
        if self._losses.given is not None:
            self._take(self._losses.given)

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Bring those to their rows that only the graph told of."""
        for given in self._losses.unheard:
            self._take(given)

    def facts(self) -> Iterator[Fact]:
        """State what the first two passes showed."""
        for passes in self._passes.values():
            yield from passes.told()

    def _take(self, given: Given) -> None:
        if not given.prediction.requires_grad:
            return
        passes = self._passes.setdefault((given.kind, given.turn), _Passes(given.kind))
        rows = next((rows for turn, rows in self._rows if turn is given.mark.turn), None)
        if rows is not None and not passes.over and _fits(given, len(rows)):
            passes.add(rows, _prints([given.target], len(rows)))


_NONE = _Passes(-1)


def _fits(given: Given, rows: int) -> bool:
    target = given.target
    return target.layout is torch.strided and target.numel() > 0 and target.numel() % rows == 0


def _prints(tensors: list[torch.Tensor], rows: int) -> list[bytes]:
    """Return for each row what tells it from others: numbers spread over all that it has."""
    parts = []
    for tensor in tensors:
        flat = tensor.detach().reshape(rows, -1)
        flat = flat[:, :: -(-flat.shape[1] // _COLUMNS) or 1].resolve_conj().resolve_neg()
        flat = flat.cpu().contiguous()
        parts.append(flat.view(torch.uint8).numpy())
    return [b"".join(part[row].tobytes() for part in parts) for row in range(rows)]


def _chance(counts: list[int]) -> float:
    """Return how likely targets that are drawn anew come out as many of each.

    Stirling's approximation of the multinomial probability of its own expectation.
    """
    total = sum(counts)
    spread = math.prod(math.sqrt(total / count) for count in counts[:50])
    return float(min(1.0, spread / (2 * math.pi * total) ** ((len(counts[:50]) - 1) / 2)))
