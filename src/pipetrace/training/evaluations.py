"""Forwards without a backward: which of them are evaluations, and what they scored."""

from __future__ import annotations

import bisect
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

from pipetrace.capture import roots, trees
from pipetrace.capture.handlers import pass_on
from pipetrace.records import Evaluation
from pipetrace.training import scores
from pipetrace.training.kept import Kept
from pipetrace.training.measuring import Evaluated, Measures
from pipetrace.training.metrics import digested
from pipetrace.training.prediction import Chosen
from pipetrace.training.rows import Rows, columns
from pipetrace.training.scores import LossCall
from pipetrace.training.strands import Strand
from pipetrace.training.tallies import Seen, Tally

if TYPE_CHECKING:
    from pipetrace.training.course import Course


_LOOKS = 50
"""Evaluations of a training whose rows are looked up, where they are not known already."""
_HELD = 50_000
"""Rows that may wait to be looked up."""


class Evaluations:
    """The evaluations of a course, and the held-out row that the prediction will be about."""

    def __init__(self, course: Course, sample: int) -> None:
        self.rows = Rows()
        self.measures = Measures(course.recorder.emit)
        self.chosen: Chosen | None = None
        self.kept = Kept()
        """Rows of the evaluation that the chosen one is of."""
        self._course = course
        self._sample = sample
        self._offset = 0
        self._waiting: Seen | None = None
        self._shares: dict[Any, float] = {}
        self._beside: set[Hashable] = set()
        """Lines whose forwards came with every other step."""
        self._looks = self._held = 0
        """Evaluations whose rows were looked up, and rows that wait for it."""
        self._early: list[tuple[Evaluation, list[torch.Tensor]]] = []

    def restart(self) -> None:
        """A new run of training begins: its rows and its held-out rows are its own."""
        self.rows = Rows()
        self.measures.settle()
        self.chosen = None
        self.kept = Kept()
        self._offset = 0
        self._shares.clear()
        self._looks = self._held = 0

    def keep(
        self, seen: Seen, first: torch.Tensor | None, model: nn.Module, args: Any, kwargs: Any,
        output: Any,
    ) -> None:  # fmt: skip
        """Keep what scoring a forward, knowing its rows and predicting one of them needs."""
        self._score()
        if seen.target is not None:
            seen.output = trees.rebuild(output, torch.Tensor.detach)
            self._waiting = seen
        strand = self._course.strand
        if first is None:
            return
        key = seen.key
        seen.source = (
            self._course.places.of(first) if key is None else self._course.passes.contents[key[0]]
        )
        room = self._looks < _LOOKS and self._held < _HELD
        if room and seen.source not in self._shares:
            self._held += seen.rows
            seen.inputs = columns(first)
        if strand is None or strand.evaluations:
            return
        if roots.opaque(roots.unwrapped(model)):
            self._offset += seen.rows
            return
        row = self._sample - self._offset
        if self._course.recorder.values:
            self.kept.add(seen, self._offset, args, kwargs)
        self._offset += seen.rows
        if self.chosen is None and 0 <= row < seen.rows:
            self.chosen = Chosen(seen, row, self._sample, args, kwargs)
        if seen.target is not None:
            self._truth(seen, seen.target)

    def loss_called(self, seen: Seen, call: LossCall) -> None:
        """The program scored a forward itself."""
        seen.output = None
        seen.used = digested(call)
        self._truth(seen, call.target)

    def _truth(self, seen: Seen, target: torch.Tensor) -> None:
        """The targets of a forward are known: kept rows get theirs."""
        self.kept.take_target(seen, target)
        if self.chosen is not None and self.chosen.seen is seen:
            self.chosen.take_target(target)

    def settle(self, forwards: list[Seen], strand: Strand | None, during: int) -> None:
        """State the evaluations among forwards that no backward went through.

        Args:
            forwards: In the order in which they ran.
            strand: The training in progress.
            during: Steps of the epoch that they ran in the middle of; 0 if they ran between
                epochs. What comes with every other step is part of the training (a teacher, a
                generator), and no evaluation.
        """
        groups: dict[tuple[int, Hashable], list[Seen]] = {}
        steps: dict[Hashable, set[int]] = {}
        for seen in forwards:
            where: Hashable = (seen.key, seen.name, seen.site, seen.model)
            groups.setdefault((seen.step, where), []).append(seen)
            steps.setdefault(where, set()).add(seen.step)
        self._score()
        begun = self._course.steps - during
        scored = {_around(seen) for seen in forwards if seen.used is not None}
        for (_, where), group in groups.items():
            if 2 * len(steps[where]) >= during > 1 and max(steps[where]) > begun:
                self._beside.add(group[0].site)
            # An encoder's forwards belong to the evaluation of what is behind it.
            part = _around(group[0]) in scored and not any(seen.used for seen in group)
            if group[0].site not in self._beside and not part:
                self._state(group, strand)
            elif self.chosen is not None and self.chosen.seen in group:
                self.chosen, self._offset, self.kept = None, 0, Kept()
        self._held = 0

    def _score(self) -> None:
        """Score the last forward ourselves if the program did not: no output is kept for longer."""
        seen, self._waiting = self._waiting, None
        if seen is not None and seen.used is None:
            with torch.no_grad(), self._course.recorder.watch.quiet():
                call = self._assume(seen)
            seen.assumed = call is not None
            seen.used = None if call is None else digested(call)
        if seen is not None:
            seen.output = None

    def _state(self, group: list[Seen], strand: Strand | None) -> None:
        tally = Tally()
        with torch.no_grad():
            tally.fold(group)
        modes = {seen.mode for seen in group}
        share = None if strand is None else self._share(group)
        if self.chosen is not None and self.chosen.seen in group:
            self.chosen.heldout = None if share is None else {0.0: True, 1.0: False}.get(share)
            self.kept.settle(group, tally.rows)
        self._course.passes.describe("evaluation", tally.rows, group[0])
        if strand is not None:
            strand.evaluations += 1
        found = Evaluation(
            training=self._course.strands if strand is None else strand.id,
            epoch=0 if strand is None else bisect.bisect(strand.ends, group[0].step),
            index=0 if strand is None else strand.evaluations,
            score=tally.score(), forwards=len(group), loss_by=tally.by,
            mode=modes.pop() if len(modes) == 1 else None, seen=share, step=group[0].step,
            name=group[0].name,
        )  # fmt: skip
        if strand is None:
            self._early.append((found, [s.inputs for s in group if s.inputs is not None]))
            return
        self._course.recorder.emit(found)
        calls = [seen.used for seen in group if seen.used is not None]
        self.measures.add(Evaluated(found, calls))

    def settle_early(self) -> None:
        """State what was evaluated before the training, now that its rows are known."""
        early, self._early = self._early, []
        for found, inputs in early:
            whole = sum(batch.shape[0] for batch in inputs) == found.score.rows
            share = self.rows.share(inputs) if whole else None
            self._course.recorder.emit(msgspec.structs.replace(found, seen=share))

    def _share(self, group: list[Seen]) -> float | None:
        """Return which share of the rows was trained on; later passes over the same rows too."""
        source = group[0].source
        share = self._shares.get(source)
        inputs = [seen.inputs for seen in group if seen.inputs is not None]
        if share is None and len(inputs) == len(group):
            self._looks += 1
            share = self.rows.share(inputs)
            if share or (share is not None and self.rows.repeated()):
                self._shares[source] = share
        return share

    def _assume(self, seen: Seen) -> LossCall | None:
        """Call the training's loss function on an evaluation's output and its loader's targets."""
        strand = self._course.strand
        if strand is None or strand.call is None or strand.pairing is None:
            return None
        if seen.output is None or seen.target is None:
            return None
        try:
            prediction = strand.pairing.of(seen.output)
            value = scores.apply(strand.call, prediction, seen.target)
        except Exception as error:
            pass_on(error)
            return None
        call = scores.loss_call(strand.call.name, (prediction, seen.target), {}, value)
        if call is not None:
            call.options = strand.call.options
        return call


def _around(seen: Seen) -> Hashable:
    """Return what forwards of one evaluation share, though they may be of several models."""
    return seen.step, seen.key, seen.name, seen.site[2:]
