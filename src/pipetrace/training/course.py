"""The course of a program: its forwards become epochs, evaluations and one prediction."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Hashable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

from pipetrace.capture import roots
from pipetrace.capture.places import edge
from pipetrace.records import Epoch, Layers, Training
from pipetrace.training import scores
from pipetrace.training.aim import Aim
from pipetrace.training.backwards import Backwards, apart, terms
from pipetrace.training.clock import Clock, memory
from pipetrace.training.drawing import draws
from pipetrace.training.evaluations import Evaluations
from pipetrace.training.layers import gradient_norm, total
from pipetrace.training.nests import Nest, Standing, site
from pipetrace.training.passes import Passes
from pipetrace.training.phases import CUT, FULL, LOADER, OPEN, Phases
from pipetrace.training.prediction import first_row
from pipetrace.training.probing import Probing
from pipetrace.training.rows import Places, columns
from pipetrace.training.samples import predict
from pipetrace.training.scores import LossCall
from pipetrace.training.strands import Strand, settings
from pipetrace.training.tallies import Seen, Tally

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder

_FOLD = 512
"""Forwards and steps kept before they are folded into sums."""
_KEPT = 4_000_000
"""Numbers of what loss functions were given that wait to be folded at most."""


class Course:
    """Follows one program for a recorder."""

    def __init__(self, recorder: Recorder, sample: int) -> None:
        self.recorder = recorder
        self.phases = Phases()
        self.evaluations = Evaluations(self, sample)
        self.strand: Strand | None = None
        """The run of training in progress."""
        self.steps = 0
        self._stepper: Callable[[], torch.optim.Optimizer | None] = lambda: None
        self.strands = 0
        """Runs of training that have begun."""
        self._learned: set[int] = set()
        """Models that a backward went through."""
        self._forwards: list[Seen] = []
        """Those that are not folded into the epoch or stated as an evaluation yet."""
        self._most = 2 * _FOLD
        self._kept = 0
        self._unsettled = True
        self.steady = False
        """The last step was a simple one of a loop that is known, and nothing has come since."""
        self.expected = False
        """The step in progress is one more like that."""
        self.brief = False
        """Of such steps in the epoch in progress nothing but the loss is kept."""
        self._standing: dict[tuple[CodeType, int], Standing] = {}
        self._trained: Seen | None = None
        self._tally = Tally()
        self._modes: set[bool] = set()
        self.clock = Clock()
        self.aim = Aim(recorder.watch.ask_before_step)
        self.backwards = Backwards()
        self._shares = False
        self.probing = Probing(recorder)
        self.passes = Passes(self)
        self._address: Hashable = None
        self._word = ""
        self.places = Places()

    @property
    def epochs(self) -> int:
        """Epochs completed in the run of training in progress."""
        return 0 if self.strand is None else self.strand.epochs

    def about_to_call(self, around: Nest, first: torch.Tensor | None, evaluating: bool) -> None:
        """A root is about to be called outside of a loader pass."""
        words = (token for _, token in reversed(around) if isinstance(token, str))
        self._word = next((word for word in words if word[:3] != "at "), "")
        where = None if first is None else self.places.of(first)
        if self.phases.forward(around, where, evaluating):
            self.close()
        if not evaluating:
            self._address = where
            if self._unsettled or not self.phases.steps:
                self.clock.opened = time.perf_counter()

    def learns_within(self, around: Nest, frame: FrameType) -> None:
        """A root is about to be called to learn, in loops that may be asked for at less cost."""
        depth = self.phases.outer(around) if self.epochs > 1 else 0
        if depth:
            self._standing[frame.f_code, frame.f_lasti] = Standing(frame, depth)

    def called(
        self, id: int, model: nn.Module, first: torch.Tensor | None, args: Any, kwargs: Any,
        output: Any, learning: bool,
    ) -> Seen:  # fmt: skip
        """A root has been called; `learning` says that a backward may follow."""
        if learning and self._unsettled:
            self._settle(id)
        passes = self.passes
        if passes.ending is not None and not learning and self.phases.training(passes.ending):
            passes.end()
        strand = self.strand
        over = strand is not None and strand.epochs > 0 and not self.phases.steps
        if strand is not None and over and learning and strand.model_id != id:
            strand.kept = None  # another model learns: this one need not live on for us
        passes.due -= 1
        rows = first.shape[0] if first is not None and first.shape else 0
        seen = Seen(id, model.training, rows, self.steps, passes.key)
        if self.recorder.writer.due():
            self._hand_over()
        if self._word:
            seen.name = self._word
        if first is not None and len(self.passes.described) < 2:
            seen.shape = tuple(first.shape[1:])
        if torch.is_grad_enabled():
            self.backwards.forward(seen, first)
        self._add(seen)
        if not learning:
            if not self._unsettled:
                self._unsettled = True
                self.clock.leave(self.recorder.spent())
            self.steady = False
            seen.site = site(sys._getframe(1))
            if strand is not None and strand.call is not None:
                seen.target = passes.target(first, strand.call)
            self.evaluations.keep(seen, first, model, args, kwargs, output)
            if passes.used_up:
                passes.end()
        elif first is not None and self.epochs < 2:
            seen.inputs = columns(first)
            self.probing.called(seen, args, kwargs)
        return seen

    def stands(self, frame: FrameType) -> bool:
        """Tell whether a frame outside of any pass calls a root in the epoch in progress."""
        standing = self._standing.get((frame.f_code, frame.f_lasti))
        return standing is not None and standing.holds(frame)

    def again(self, id: int, rows: int) -> Seen:
        """A root has been called in train mode while all is steady."""
        self.steady, self.expected = False, True
        passes = self.passes
        passes.due -= 1
        seen = self.backwards.alone = Seen(id, True, rows, self.steps, passes.key, turn=-1)
        self._add(seen)
        return seen

    def _add(self, seen: Seen) -> None:
        self._forwards.append(seen)
        if len(self._forwards) > self._most or self._kept > _KEPT:
            self._fold()
            self._most = len(self._forwards) + 2 * _FOLD

    def loss_called(self, seen: Seen, call: LossCall, result: torch.Tensor, output: Any) -> None:
        """A loss function has been called after a forward."""
        if not result.requires_grad:
            self.evaluations.loss_called(seen, call)
            return
        seen.used = scores.thinned(call)
        self._kept += seen.used.input.numel()
        self.backwards.loss_called(call)
        if seen.turn >= 0:
            self.probing.learns(seen, call, output, self._may_pair(seen))

    def another_loss(self, seen: Seen, call: LossCall, result: torch.Tensor, output: Any) -> None:
        """A loss function has been called after one that was called after the same forward."""
        if not result.requires_grad or seen.used is None:
            return
        self.backwards.loss_called(call)
        if scores.task(call.name) and not scores.task(seen.used.name):
            seen.used = scores.thinned(call)
            self.probing.learns(seen, call, output, self._may_pair(seen))
        else:
            seen.more = (*seen.more, scores.thinned(call))

    def _may_pair(self, seen: Seen) -> bool:
        """Tell whether a training of this model may begin with the next step."""
        strand = self.strand
        return strand is None or (strand.model_id != seen.model and not self.phases.steps)

    def share(self, mean: torch.Tensor, loss: torch.Tensor) -> None:
        """A model divides a sum itself: by its own targets, or by those of the whole step.

        The second makes each backward's loss a share of the step's.
        """
        if self.strand is None:
            self._shares = not torch.isclose(mean, loss.detach().to(mean.dtype), rtol=1e-3).item()

    def backward_called(self, root: torch.Tensor, direct: bool) -> None:
        """A backward begins."""
        self.backwards.begin(root, direct)

    def stepped(self, optimizer: torch.optim.Optimizer | None, around: Nest) -> None:
        """An optimizer has stepped; None stands for parameters that were changed by hand."""
        strand, backwards = self.strand, self.backwards
        expected, self.expected = self.expected, False
        same = optimizer is not None and optimizer is self._stepper()
        expected = expected and same and backwards.alone is None
        if strand is None or not (same or strand.owns(optimizer)):
            strand = self._join(optimizer)
        if not same:
            self._stepper = (lambda: None) if optimizer is None else weakref.ref(optimizer)
        if not expected and self.phases.overdue():
            self.close()
        self.steps += 1
        self.clock.last = time.perf_counter()
        self.phases.step(around, self._address)
        rate = strand.rate_by_hand() if optimizer is None else optimizer.param_groups[0]["lr"]
        losses, backwards.losses = backwards.losses, []
        waiting = strand.step(rate, losses)
        if not expected:
            backwards.stepped(optimizer)
            if backwards.apart and not strand.several:
                strand.several = True
                self.recorder.emit(apart(strand.id))
        passes = self.passes
        if passes.ending is not None and passes.due <= 0:
            passes.end()
        writer = self.recorder.writer
        if waiting >= _FOLD or self.clock.last - writer.flushed >= writer.patience:
            self._hand_over()
        if not expected:
            expected = (
                strand.epochs > 1 and backwards.simple and len(strand.optimizers) == 1
                and not self._unsettled and (bool(self._standing) or not self.phases.wants_nest)
            )  # fmt: skip
        self.steady = expected and passes.ending is None
        if self.phases.steps == self.aim.after:
            self.aim.ready(strand)

    def about_to_step(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """An optimizer is about to make a step that is due to be measured, or the very first."""
        model = None
        if self.strand is None:
            reached = next((seen for seen in reversed(self._forwards) if seen.trained), None)
            model = None if reached is None else self.recorder.model(reached.model)
        self.aim.begin(optimizer, closure, model)

    def _hand_over(self) -> None:
        """Let what is known reach the file: a process that is killed now loses nothing of it."""
        if self.strand is None:
            self.recorder.writer.breathe()
        else:
            self.strand.write(self.recorder.writer)

    def marked(self) -> None:
        """An explicit epoch begins."""
        self.steady = False
        if self.phases.mark():
            self.close()

    def unmarked(self) -> None:
        """The explicit epochs are over."""
        self.steady = False
        if self.phases.steps:
            self.close()
        self.phases.unmark()

    @edge
    def finish(self) -> None:
        """The program has ended: state what is open."""
        if self.phases.steps:
            whole = self.passes.whole or self.phases.complete
            cut = self.phases.rule == LOADER and not whole
            self.phases.rule = CUT if cut else self.phases.rule or OPEN
            self.close()
        self._fold()
        self.evaluations.settle(self._take(lambda seen: True), self.strand, 0)
        self.evaluations.settle_early()
        self.evaluations.measures.settle()
        strand, recorder = self.strand, self.recorder
        if strand is not None:
            strand.write(recorder.writer)
            if strand.probed != strand.epochs:
                self.probing.probe(strand)
            recorder.emit(*strand.moments.end())
        started = time.perf_counter()
        chosen = None if recorder.lean else self.evaluations.chosen or first_row(strand)
        if chosen is not None and chosen.heldout and self.evaluations.rows.repeated() == 0:
            chosen.heldout = None
        if chosen is not None:
            told = predict(recorder, chosen, strand, self.evaluations.kept)
            recorder.emit(*told)
            recorder.spend("prediction", started)
            started = time.perf_counter()
            recorder.emit(*draws(recorder, chosen, strand, told))
            recorder.spend("draws", started)
        recorder.emit(*recorder.kept.tokens())

    def _join(self, optimizer: torch.optim.Optimizer | None) -> Strand:
        """Let an optimizer join the run in progress, or begin a new run of training."""
        reached = [seen for seen in self._forwards if seen.trained]
        model = reached[-1].model if reached else -1
        strand = self.strand
        if strand is None or (self.phases.steps == 0 and model != strand.model_id):
            if strand is not None:
                before = self._take(lambda seen: not seen.trained and seen.key is None)
                self.evaluations.settle(before, strand, 0)
                self.recorder.emit(*strand.moments.end())
            strand = self.strand = Strand(self.strands, model, self.recorder.model(model))
            strand.shares, self._shares, self.brief = self._shares, False, False
            self.strands += 1
            if strand.id:
                self.aim.restart()
            self.probing.joined(strand)
            used = reached[-1].used if reached else None
            name = "" if used is None else used.name
            self.evaluations.restart()
            kind = strand.hand() if optimizer is None else type(optimizer).__name__
            given = () if optimizer is None else settings(optimizer)
            self.recorder.emit(
                Training(id=strand.id, model=model, optimizer=kind, settings=given, loss=name,
                         task=scores.task(name))
            )  # fmt: skip
        strand.join(optimizer)
        return strand

    def close(self) -> None:
        """State the epoch in progress, what was evaluated during it, and the probe after it."""
        strand, recorder = self.strand, self.recorder
        if strand is None:
            return
        self._fold()
        during = self._take(lambda seen: seen.step < self.steps)
        self.evaluations.settle(during, strand, self.phases.steps)
        strand.ends.append(self.steps)
        strand.write(recorder.writer)
        seconds = self.clock.close(recorder.spent())
        strand.probing.since += seconds
        due = strand.due()
        score, mean = self._tally.score(), strand.mean_loss()
        if score.loss is None or strand.shares:
            score = msgspec.structs.replace(score, loss=mean)
        step, layers, exact = self.aim.take()
        # Gradients are still there at the end, or they were zeroed after the step.
        left = gradient_norm(strand.model) if due and step != self.phases.steps else None
        used, kind = memory() if due else (None, "")
        epoch = Epoch(
            training=strand.id, index=strand.epochs, rule=self.phases.rule,
            steps=self.phases.steps, score=score, rates=strand.rates(), decays=strand.decays(),
            seconds=seconds, memory=used, memory_kind=kind,
            gradient_norm=left or total(layers),
            mode=self._modes.pop() if len(self._modes) == 1 else None,
            complete=self.phases.rule != CUT,
            repeated=self.evaluations.rows.repeated() if strand.epochs == 2 else None,
        )  # fmt: skip
        recorder.emit(epoch)
        strand.trained += score.rows
        if strand.epochs == 1:
            self.evaluations.settle_early()
            if self._trained is not None:
                self.recorder.emit(*terms(strand.id, self._trained))
                rows = self._trained.rows if self.phases.rule == FULL else epoch.score.rows
                self.passes.describe("training", rows, self._trained)
            self.probing.fix(strand)
        if recorder.writer.due(recorder.writer.soon):
            recorder.writer.flush()
        strand.per_row = strand.per_row if self.brief else self._tally.per_row
        self._tally, self._modes = Tally(), set()
        steps = self.phases.steps
        self.backwards.closed()
        self.phases.closed()
        self._standing.clear()
        activations = self.probing.probe(strand) if due else ()
        if due and roots.shared() and (checksum := strand.checksum(self.steps)) is not None:
            recorder.emit(checksum)
        if layers or activations:
            recorder.emit(
                Layers(training=strand.id, epoch=strand.epochs, step=step, layers=layers,
                       exact=exact, activations=activations)
            )  # fmt: skip
        self._unsettled = True
        close = strand.due(1, seconds)
        self.brief = not close and strand.per_row is not None
        if close:
            self.aim.expect(strand, steps)

    def _fold(self) -> None:
        """Move the forwards that a backward went through into the epoch's sums."""
        self._kept = 0
        trained = self._take(lambda seen: seen.trained)
        self._modes |= {seen.mode for seen in trained}
        self._learned |= {seen.model for seen in trained}
        counted = self.backwards.counted(trained)
        self._trained = self._trained or next(iter(counted), None)
        for seen in counted:
            if seen.inputs is not None:
                self.evaluations.rows.add(seen.inputs, self.epochs)
        with torch.no_grad():
            self._tally.fold(counted)

    def _settle(self, learning: int) -> None:
        """State evaluations that are over: all between epochs, foreign passes during one.

        A model that was not trained yet may be looked at just before its own training begins.
        """
        self._fold()
        between = self.phases.steps == 0
        key = self.passes.key

        def is_over(seen: Seen) -> bool:
            # What a pass that is trained on does besides may come with every step of it.
            if between and seen.key is None:
                # What no loss function scored may come with every step of the epoch to come.
                return seen.used is not None
            if between:
                return bool(seen.key != key)
            foreign = seen.key is not None and seen.key != key
            return foreign and (not seen.mode or seen.step < self.steps)

        over = self._take(is_over)
        if between or over:
            self.clock.resume(self.recorder.spent())
        if between and learning not in self._learned:
            coming = [seen for seen in over if seen.model == learning]
            over = [seen for seen in over if seen.model != learning]
            self.evaluations.settle(over, self.strand, 0)
            self.evaluations.settle(coming, None, 0)
        else:
            self.evaluations.settle(over, self.strand, 0)
        self._unsettled = between and bool(self._forwards)

    def _take(self, chosen: Callable[[Seen], bool]) -> list[Seen]:
        taken: list[Seen] = []
        left: list[Seen] = []
        for seen in self._forwards:
            (taken if chosen(seen) else left).append(seen)
        self._forwards = left
        return taken
