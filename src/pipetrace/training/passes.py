"""Passes over data loaders: which one is in progress, what it gives, and when it is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler

from pipetrace.capture import trees
from pipetrace.records import Dataset
from pipetrace.training.rows import Numbers
from pipetrace.training.scores import LossCall
from pipetrace.training.tallies import Seen

if TYPE_CHECKING:
    from pipetrace.training.course import Course

Key = tuple[int, int, int]
"""A pass over a loader: its sampler's number, its iterator's id, its own number."""
Size = tuple[int | None, int | None, str]
"""Rows, rows in a batch, and the name of the data set."""


class Passes:
    """Follows the data loaders of a program for its course."""

    def __init__(self, course: Course) -> None:
        self.key: Key | None = None
        """The pass in progress."""
        self.ending: Key | None = None
        """A pass that has no more batches, while some it gave are still to be used."""
        self.due = 0
        """Batches that were given and not used yet."""
        self.contents: dict[int, int] = {}
        """Equal numbers for samplers that give the same rows, by their numbers."""
        self.described: set[str] = set()
        """Roles of rows that are stated already."""
        self._course = course
        self._batch: Any = None
        self._passes = 0
        self._length: int | None = None
        """How many batches the pass in progress will give."""
        self._given: dict[int, Key] = {}
        """The last pass by its sampler that gave all its batches, though nobody asked for more."""
        self._open: dict[int, Key] = {}
        self._samplers = Numbers()
        self._sets: dict[int, Size] = {}

    @property
    def used_up(self) -> bool:
        """Whether a pass has no more batches, and those it gave were used."""
        return self.ending is not None and self.due <= 0

    @property
    def whole(self) -> bool:
        """Whether a pass with steps has given all its batches."""
        training = self._course.phases.training
        return self.ending is not None or any(map(training, self._given.values()))

    def came(self, iterator: Any, batch: Any) -> None:
        """A loader gives a batch; its first one begins a pass."""
        if iterator._num_yielded == 1 or self.key is None or self.key[1] != id(iterator):
            self._begin(iterator)
        self._batch = batch
        self.due += 1
        if iterator._num_yielded == self._length and self.key is not None:
            self._given[self.key[0]] = self.key

    def ended(self, iterator: Any) -> None:
        """A loader has no more batches.

        Frameworks fetch a batch ahead: the pass ends when the batches it gave were used.
        """
        course = self._course
        course.steady = False
        key = self._open.pop(id(iterator), None)
        if key is not None and key != self.key:
            if course.phases.end_pass(key):
                course.close()
            return
        self.ending = key
        if self.due <= 0:
            course.recorder.step_by_hand()
            self.end()

    def end(self) -> None:
        """The batches of a pass that has no more were used."""
        key, self.ending = self.ending, None
        course = self._course
        course.clock.opened = 0.0
        if key is not None and course.phases.end_pass(key):
            course.close()
        self.key = self._batch = None

    def describe(self, role: str, rows: int, seen: Seen) -> None:
        """State once what is known of the rows behind a phase, of which `seen` was one batch."""
        if role not in self.described:
            self.described.add(role)
            known, batch, name = (None, None, "") if seen.key is None else self._sets[seen.key[0]]
            if known is None:
                known, batch = rows, seen.rows if seen.rows < rows else None
            self._course.recorder.emit(
                Dataset(role=role, rows=known, batch=batch, features=seen.shape, name=name)
            )

    def target(self, first: torch.Tensor | None, known: LossCall) -> torch.Tensor | None:
        """Return the tensor of the batch in use that looks like the training's targets."""
        for _, tensor in trees.leaves(self._batch):
            fits = tensor.dtype == known.target.dtype and tensor.dim() == known.target.dim()
            if fits and tensor is not first:
                return tensor if first is None else tensor.to(first.device)
        return None

    def _begin(self, iterator: Any) -> None:
        """A loader begins a pass, or goes on with one after another loader's."""
        course, before = self._course, self.key
        course.steady = False
        whole = before is not None and self._given.get(before[0]) == before and self.due <= 0
        if whole and iterator._num_yielded == 1:
            course.recorder.step_by_hand()
            self.ending = self.ending or before
        if self.ending is not None:
            self.end()
        self.due = 0
        self._length = _length(iterator)
        course.clock.opened = time.perf_counter()
        key = self._open.get(id(iterator))
        if iterator._num_yielded == 1 or key is None:
            key = self._open[id(iterator)] = self._number(iterator)
        if course.phases.batch(key, key[0]):
            course.close()
        self.key = key

    def _number(self, iterator: Any) -> Key:
        sampler = iterator._index_sampler
        self._passes += 1
        number = self._samplers.of(sampler)
        if number not in self._sets:
            self._sets[number] = _size(iterator._dataset, sampler)
            in_order = type(getattr(sampler, "sampler", None)) is SequentialSampler
            same = iterator._dataset if in_order else sampler
            self.contents[number] = self._samplers.of(same)
        return number, id(iterator), self._passes


def _length(iterator: Any) -> int | None:
    """Return how many batches a pass over a loader gives, where that is known."""
    try:
        return len(iterator)
    except (TypeError, NotImplementedError):
        return None


def _size(dataset: Any, sampler: Any) -> Size:
    """Return a loader's rows (the sampler may take some only), rows in a batch, and data set."""
    batch = getattr(sampler, "batch_size", None)
    try:
        rows = len(getattr(sampler, "sampler", dataset))
    except (TypeError, NotImplementedError):
        rows = None
    return rows, batch if isinstance(batch, int) else None, type(dataset).__name__
