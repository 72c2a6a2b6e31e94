"""Plain events in, the ends of epochs out: which loop is the epoch, told while it runs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from pipetrace.training.nests import Nest

MARKED = "marked with epochs()"
LOADER = "one pass over the data loader"
LOOP = "the loop around the batches"
FULL = "one step on the full batch"
SECTION = "the steps between two evaluations"
CUT = "the steps of a pass over the data loader that was not finished"
OPEN = "all steps: no loop of epochs was seen"


@dataclass
class Phases:
    """Recognises epochs by the first of these that fits: marks, loader passes, loops, sections.

    Methods are told one event; those that return a bool tell whether the epoch in progress has
    ended before it. Of several loaders in one loop that is the epoch whose batches went into most
    steps, and of equal ones the one that is asked first: one that goes round and round beside it
    ends nothing.
    """

    rule: str = ""
    steps: int = 0
    """Steps in the epoch in progress."""
    marked: bool = False
    _passes: dict[Any, int] = field(default_factory=dict)
    """Passes in progress: steps in each."""
    _given: set[Any] = field(default_factory=set)
    """Passes that gave a batch since the last step."""
    _within: int = 0
    """Steps in the epoch in progress that came within a pass."""
    _doubtful: Any = None
    """The loader whose pass has ended beside another's: the next step tells which goes on."""
    _left: int = 0
    """Steps of the last epoch, if its pass was left by `break`."""
    _current: Any = None
    _last: Nest = ()
    _first: Nest = ()
    """The nest of the first step of the epoch in progress."""
    _depth: int | None = None
    """Index of the loop over batches in the nest, once two steps have told it."""
    _address: Hashable = None
    _beside: tuple[int, int] = (0, 0)
    """Steps of this epoch with a forward that does not learn after them, and the last of them."""

    @property
    def wants_nest(self) -> bool:
        """Whether the next forward and step must come with their loops."""
        return not self.marked and not self._passes

    @property
    def complete(self) -> bool:
        """Whether the epoch in progress is as long as the one before, which was left as well."""
        return self._doubtful is not None or (self.steps > 0 and self.steps == self._left)

    def outer(self, nest: Nest) -> int:
        """Return how many loops must stand for the epoch to go on; 0 where more tells its end."""
        depth = self._depth or 0
        unnamed = any(token is None for _, token in nest[:depth])
        return depth if self.rule == LOOP and self.steps and not unnamed else 0

    def mark(self) -> bool:
        """An explicit epoch begins, or the last one ended."""
        self.marked, self.rule = True, MARKED
        return self.steps > 0

    def unmark(self) -> None:
        """The marked iterable is exhausted."""
        self.marked = False

    def batch(self, key: Any, family: Any) -> bool:
        """A loader gives a batch: `key` is the pass, `family` its loader.

        A pass that was left by `break` ends when its loader starts another.
        """
        ended = False
        if key not in self._passes:
            stale = [k for k in self._passes if k[0] == family]
            ended = self._doubtful not in (None, family) and not stale
            for one in stale:
                steps = self.steps
                if self.end_pass(one):
                    ended, self._left = True, steps
            self._passes[key] = 0
        self._current = key
        self._given.add(key)
        return ended

    def training(self, key: Any) -> bool:
        """Tell whether a pass in progress contains steps."""
        return self._passes.get(key, 0) > 0

    def end_pass(self, key: Any) -> bool:
        """A loader has no more batches."""
        # A loader that goes round beside another began its pass in an epoch before.
        steps = min(self._passes.pop(key, 0), self._within)
        self._given.discard(key)
        if self._current == key:
            self._current = next(reversed(self._passes), None)
        if self.marked or self.rule != LOADER or not self.steps or not steps:
            return False
        if 2 * steps < self._within:
            return False
        if any(self._passes[each] >= steps for each in self._given):
            self._doubtful = key[0]
            return False
        return True

    def overdue(self) -> bool:
        """A step has come: tell whether the epoch of a doubtful pass had ended before it."""
        if self._doubtful is None:
            return False
        self._doubtful = None
        return not any(self._passes[each] for each in self._given)

    def forward(self, nest: Nest, address: Hashable, evaluating: bool) -> bool:
        """A root module is about to be called outside of any pass."""
        if self.steps == 0 or self.marked or self._passes or self.rule == LOADER:
            return False
        if evaluating and self._beside[1] != self.steps:
            self._beside = self._beside[0] + 1, self.steps
        if self._depth:
            self.rule = LOOP
            return self._around(nest, evaluating)
        if not evaluating and address is not None and address == self._address:
            self.rule = FULL
            return True
        # What comes with every other step (acting, a teacher) is no evaluation.
        if evaluating and 2 * self._beside[0] <= self.steps and self.steps > 1:
            self.rule = SECTION
            return True
        return evaluating and self.rule == FULL

    def step(self, nest: Nest, address: Hashable) -> None:
        """An optimizer has stepped; `address` is where the batch lies in memory."""
        self.steps += 1
        if self.marked:
            return
        if self._current is not None:
            self.rule = LOADER
            self._within += 1
            for key in self._given or (self._current,):
                self._passes[key] += 1
            self._given.clear()
            return
        if nest:  # else the loops were found to stand
            self._deepen(nest)
        if self.steps == 1:
            self._first = nest
        self._address = address

    def closed(self) -> None:
        """The epoch in progress was written down."""
        self.steps = self._within = 0
        self._beside = 0, 0
        self._doubtful = None

    def _around(self, nest: Nest, evaluating: bool) -> bool:
        """Tell whether the loop around the batches has moved on."""
        depth = self._depth or 0
        if nest[:depth] != self._last[:depth]:
            return True
        # A step may also have been taken outside of the loop over batches.
        if min(len(nest), len(self._last)) <= depth or nest[depth][0] != self._last[depth][0]:
            return evaluating
        # A `while` has no variable: it has moved on when the loop inside begins anew.
        unnamed = any(token is None for _, token in nest[:depth])
        began = len(self._first) > depth and nest[depth] == self._first[depth] != self._last[depth]
        return unnamed and began and not evaluating

    def _deepen(self, nest: Nest) -> None:
        """The loop over batches is the outermost that moved while those around it stood."""
        pairs = list(zip(self._last, nest, strict=False))
        self._last = nest
        for index, (one, other) in enumerate(pairs):
            if one[0] != other[0]:
                return
            if one == other and (one[1] is not None or _moves(pairs[index + 1 :])):
                continue
            self._depth = index if self._depth is None else max(self._depth, index)
            return


def _moves(inner: list[tuple[Any, Any]]) -> bool:
    """Tell whether a loop with a variable went on inside of one that has none."""
    for one, other in inner:
        if one[0] != other[0]:
            return False
        if one != other:
            return True
    return False
