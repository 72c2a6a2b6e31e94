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
    ended before it.
    """

    rule: str = ""
    steps: int = 0
    """Steps in the epoch in progress."""
    marked: bool = False
    _passes: dict[Any, int] = field(default_factory=dict)
    """Passes in progress: steps in each."""
    _current: Any = None
    _last: Nest = ()
    _depth: int | None = None
    """Index of the loop over batches in the nest, once two steps have told it."""
    _address: Hashable = None

    @property
    def wants_nest(self) -> bool:
        """Whether the next forward and step must come with their loops."""
        return not self.marked and not self._passes

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
            for stale in [k for k in self._passes if k[0] == family]:
                ended = self.end_pass(stale) or ended
            self._passes[key] = 0
        self._current = key
        return ended

    def training(self, key: Any) -> bool:
        """Tell whether a pass in progress contains steps."""
        return self._passes.get(key, 0) > 0

    def end_pass(self, key: Any) -> bool:
        """A loader has no more batches."""
        steps = self._passes.pop(key, 0)
        if self._current == key:
            self._current = next(reversed(self._passes), None)
        return steps > 0 and not self.marked and self.rule == LOADER and self.steps > 0

    def forward(self, nest: Nest, address: Hashable, evaluating: bool) -> bool:
        """A root module is about to be called outside of any pass."""
        if self.steps == 0 or self.marked or self._passes or self.rule == LOADER:
            return False
        if self._depth:
            self.rule = LOOP
            depth = self._depth
            left = len(nest) <= depth or nest[depth][0] != self._last[depth][0]
            return nest[:depth] != self._last[:depth] or (evaluating and left)
        if not evaluating and address is not None and address == self._address:
            self.rule = FULL
            return True
        if evaluating and self.steps > 1:
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
            self._passes[self._current] += 1
            return
        self._deepen(nest)
        self._address = address

    def closed(self) -> None:
        """The epoch in progress was written down."""
        self.steps = 0

    def _deepen(self, nest: Nest) -> None:
        """The loop over batches is the outermost that moved while those around it stood."""
        if self._last:
            same = 0
            for one, other in zip(self._last, nest, strict=False):
                if one != other or one[1] is None:
                    break
                same += 1
            if same < min(len(nest), len(self._last)) and nest[same][0] == self._last[same][0]:
                self._depth = same if self._depth is None else max(self._depth, same)
        self._last = nest
