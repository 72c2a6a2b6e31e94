"""The course of a program: its forwards become epochs, evaluations and one prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

from pipetrace.capture import trees
from pipetrace.capture.places import edge
from pipetrace.capture.replay import Call, Outcome
from pipetrace.parts import Units
from pipetrace.records import Dataset, Epoch, Layers, Training
from pipetrace.training import scores
from pipetrace.training.aim import Aim
from pipetrace.training.clock import Clock, memory
from pipetrace.training.evaluations import Evaluations
from pipetrace.training.layers import gradient_norm, total
from pipetrace.training.nests import Nest
from pipetrace.training.phases import CUT, FULL, LOADER, OPEN, Phases
from pipetrace.training.prediction import first_row, predict
from pipetrace.training.probe import Gathering, probe
from pipetrace.training.rows import Numbers, Places, columns
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.strands import Strand, settings
from pipetrace.training.tallies import Seen, Tally

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder

_FOLD = 512
"""Forwards and steps kept before they are folded into sums."""

Key = tuple[int, int, int]
"""A pass over a loader: its sampler's number, its iterator's id, its own number."""


class Course:
    """Follows one program for a recorder."""

    def __init__(self, recorder: Recorder, sample: int) -> None:
        self.recorder = recorder
        self.phases = Phases()
        self.evaluations = Evaluations(self, sample)
        self.strand: Strand | None = None
        """The run of training in progress."""
        self.steps = 0
        self._stepper: torch.optim.Optimizer | None = None
        self._strands = 0
        self._forwards: list[Seen] = []
        """Those that are not folded into the epoch or stated as an evaluation yet."""
        self._most = 2 * _FOLD
        self._unsettled = True
        self._trained: Seen | None = None
        self._tally = Tally()
        self._modes: set[bool] = set()
        self.clock = Clock()
        self.aim = Aim(recorder.watch.ask_before_step)
        self._results: list[torch.Tensor] = []
        self._losses: list[torch.Tensor] = []
        self._pair: tuple[int, LossCall, Pairing] | None = None
        self._gathering: Gathering | None = None
        self._address: Hashable = None
        self._word = ""
        self._batch: Any = None
        self._key: Key | None = None
        self._passes = 0
        self._ending: Key | None = None
        """A pass that has no more batches, while some it gave are still to be used."""
        self._due = 0
        self._open: dict[int, Key] = {}
        self._samplers = Numbers()
        self._sets: dict[int, tuple[int | None, int | None, str]] = {}
        self.places = Places()
        self.described: set[str] = set()
        """Roles of rows that are stated already."""

    @property
    def epochs(self) -> int:
        """Epochs completed in the run of training in progress."""
        return 0 if self.strand is None else self.strand.epochs

    def about_to_call(self, around: Nest, first: torch.Tensor | None, evaluating: bool) -> None:
        """A root is about to be called outside of a loader pass."""
        inwards = (token for _, token in reversed(around) if isinstance(token, str))
        words = (token for token in inwards if token[:3] != "at ")
        self._word = next(words, "")
        where = None if first is None else self.places.of(first)
        if self.phases.forward(around, where, evaluating):
            self._close()
        if not evaluating:
            self._address = where
            if self._unsettled or not self.phases.steps:
                self.clock.opened = time.perf_counter()

    def called(
        self, id: int, model: nn.Module, first: torch.Tensor | None, args: Any, kwargs: Any,
        output: Any, learning: bool,
    ) -> Seen:  # fmt: skip
        """A root has been called; `learning` says that a backward may follow."""
        if learning and self._unsettled:
            self._settle()
        if self._ending is not None and not learning and self.phases.training(self._ending):
            self._end_pass()
        self._due -= 1
        rows = first.shape[0] if first is not None and first.shape else 0
        seen = Seen(id, model.training, rows, self.steps, self._key)
        if self._word:
            seen.name = self._word
        if first is not None and len(self.described) < 2:
            seen.shape = tuple(first.shape[1:])
        self._forwards.append(seen)
        if len(self._forwards) > self._most:
            self._fold()
            self._most = len(self._forwards) + 2 * _FOLD
        if not learning:
            if not self._unsettled:
                self._unsettled = True
                self.clock.leave(self.recorder.spent())
            if self._batch is not None:
                seen.target = self._target(first)
            self.evaluations.keep(seen, first, model, args, kwargs, output)
            if self._ending is not None and self._due <= 0:
                self._end_pass()
        elif first is not None and self.epochs < 2:
            seen.inputs = columns(first)
            if self._gathering is not None and self._gathering.seen.model == id:
                self._gathering.add(seen, args, kwargs)
        return seen

    def captured(self, call: Call, seen: Seen, outcome: Outcome) -> None:
        """A training forward was captured: the probe's rows begin with it."""
        if self._gathering is None or self._gathering.seen.model != seen.model:
            self._gathering = Gathering(call, seen, outcome)
            if seen.used is not None:
                self._gathering.target = seen.used.target.detach().clone()

    def loss_called(self, seen: Seen, call: LossCall, result: torch.Tensor, output: Any) -> None:
        """A loss function has been called after a forward."""
        seen.used = scores.thinned(call)
        if not result.requires_grad:
            self.evaluations.loss_called(seen, call)
            return
        self._results.append(call.value)
        if self._gathering is not None and self._gathering.seen is seen:
            self._gathering.target = call.target.detach().clone()
        if self._pair is None and output is not None:
            strand = self.strand
            if strand is None or (strand.model_id != seen.model and not self.phases.steps):
                pairing = scores.pair(output, call)
                self._pair = None if pairing is None else (seen.model, call, pairing)

    def another_loss(self, result: Any) -> None:
        """A loss function has been called without a forward of its own."""
        if isinstance(result, torch.Tensor) and result.requires_grad:
            self._results.append(result.detach())

    def backward_called(self, root: torch.Tensor) -> None:
        """A backward begins: the one loss behind it, or what it starts from, is the loss."""
        results, self._results = self._results, []
        value = results[0] if len(results) == 1 else root.detach()
        if value.dim() == 0:
            self._losses.append(value)

    def stepped(self, optimizer: torch.optim.Optimizer | None, around: Nest) -> None:
        """An optimizer has stepped; None stands for parameters that were changed by hand."""
        strand = self.strand
        if strand is None or (optimizer is not self._stepper and not strand.owns(optimizer)):
            strand = self._join(optimizer)
        self._stepper = optimizer
        self.steps += 1
        self.clock.last = time.perf_counter()
        self.phases.step(around, self._address)
        if self._ending is not None and self._due <= 0:
            self._end_pass()
        strand.step(None if optimizer is None else optimizer.param_groups[0]["lr"], self._losses)
        self._losses = []
        if strand.waiting() >= _FOLD:
            strand.write(self.recorder.writer)
        if self.phases.steps == self.aim.after:
            self.aim.ready(strand)

    def about_to_step(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """An optimizer is about to make a step that is due to be measured, or the very first."""
        model = None
        if self.strand is None:
            reached = next((seen for seen in reversed(self._forwards) if seen.trained), None)
            model = None if reached is None else self.recorder.model(reached.model)
        self.aim.begin(optimizer, closure, model)

    def batch_came(self, iterator: Any, batch: Any) -> None:
        """A loader gives a batch; its first one begins a pass."""
        if iterator._num_yielded == 1 or self._key is None or self._key[1] != id(iterator):
            self._begin_pass(iterator)
        self._batch = batch
        self._due += 1

    def pass_ended(self, iterator: Any) -> None:
        """A loader has no more batches.

        Frameworks fetch a batch ahead: the pass ends when the batches it gave were used.
        """
        self._ending = self._open.pop(id(iterator), None)
        if self._due <= 0:
            self._end_pass()

    def _end_pass(self) -> None:
        key, self._ending = self._ending, None
        self.clock.opened = 0.0
        if key is not None and self.phases.end_pass(key):
            self._close()
        self._key = self._batch = None

    def marked(self) -> None:
        """An explicit epoch begins."""
        if self.phases.mark():
            self._close()

    def unmarked(self) -> None:
        """The explicit epochs are over."""
        if self.phases.steps:
            self._close()
        self.phases.unmark()

    def describe(self, role: str, rows: int, seen: Seen) -> None:
        """State once what is known of the rows behind a phase, of which `seen` was one batch."""
        if role not in self.described:
            self.described.add(role)
            known, batch, name = (None, None, "") if seen.key is None else self._sets[seen.key[0]]
            if known is None:
                known, batch = rows, seen.rows if seen.rows < rows else None
            self.recorder.emit(
                Dataset(role=role, rows=known, batch=batch, features=seen.shape, name=name)
            )

    @edge
    def finish(self) -> None:
        """The program has ended: state what is open."""
        if self.phases.steps:
            cut = self.phases.rule == LOADER and self._ending is None
            self.phases.rule = CUT if cut else self.phases.rule or OPEN
            self._close()
        self._fold()
        self.evaluations.settle(self._take(lambda seen: True), self.strand, 0)
        strand, recorder = self.strand, self.recorder
        if strand is not None:
            strand.write(recorder.writer)
            if strand.probed[0] != strand.epochs:
                self._probe(strand)
        started = time.perf_counter()
        chosen = self.evaluations.chosen or first_row(strand)
        if chosen is not None:
            recorder.emit(*predict(recorder, chosen, strand))
        recorder.spend("prediction", started)

    def _join(self, optimizer: torch.optim.Optimizer | None) -> Strand:
        """Let an optimizer join the run in progress, or begin a new run of training."""
        reached = [seen for seen in self._forwards if seen.trained]
        model = reached[-1].model if reached else -1
        strand = self.strand
        if strand is None or (self.phases.steps == 0 and model != strand.model_id):
            strand = self.strand = Strand(self._strands, model, self.recorder.model(model))
            self._strands += 1
            if strand.id:
                self.aim.restart()
            if self._pair is not None and self._pair[0] == model:
                _, strand.call, strand.pairing = self._pair
            self._pair = None
            used = reached[-1].used if reached else None
            name = "" if used is None else used.name
            self.evaluations.restart()
            kind = "" if optimizer is None else type(optimizer).__name__
            given = () if optimizer is None else settings(optimizer)
            self.recorder.emit(
                Training(id=strand.id, model=model, optimizer=kind, settings=given, loss=name,
                         task=scores.task(name))
            )  # fmt: skip
        strand.join(optimizer)
        return strand

    def _close(self) -> None:
        """State the epoch in progress, what was evaluated during it, and the probe after it."""
        strand, recorder = self.strand, self.recorder
        if strand is None:
            return
        self._fold()
        during = self._take(lambda seen: seen.step < self.steps)
        self.evaluations.settle(during, strand, self.phases.steps)
        strand.ends.append(self.steps)
        strand.write(recorder.writer)
        due = strand.due(self.steps)
        score, mean = self._tally.score(), strand.mean_loss()
        if score.loss is None:
            score = msgspec.structs.replace(score, loss=mean)
        step, layers, exact = self.aim.take()
        # Gradients are still there at the end, or they were zeroed after the step.
        left = gradient_norm(strand.model) if due and step != self.phases.steps else None
        used, kind = memory() if due else (None, "")
        epoch = Epoch(
            training=strand.id, index=strand.epochs, rule=self.phases.rule,
            steps=self.phases.steps, score=score, rates=strand.rates(), decays=strand.decays(),
            seconds=self.clock.close(recorder.spent()), memory=used, memory_kind=kind,
            gradient_norm=left or total(layers),
            mode=self._modes.pop() if len(self._modes) == 1 else None,
        )  # fmt: skip
        recorder.emit(epoch)
        if strand.epochs == 1:
            if self._trained is not None:
                rows = self._trained.rows if self.phases.rule == FULL else epoch.score.rows
                self.describe("training", rows, self._trained)
            if self._gathering is not None and strand.call is not None and strand.pairing:
                strand.fixed = self._gathering.fix(strand.call, strand.pairing)
            self._gathering = None
        self._tally, self._modes = Tally(), set()
        steps = self.phases.steps
        self.phases.closed()
        activations = self._probe(strand) if due else ()
        if layers or activations:
            recorder.emit(
                Layers(training=strand.id, epoch=strand.epochs, step=step, layers=layers,
                       exact=exact, activations=activations)
            )  # fmt: skip
        self._unsettled = True
        if strand.due(self.steps + steps, 1):
            self.aim.expect(strand, steps)

    def _fold(self) -> None:
        """Move the forwards that a backward went through into the epoch's sums."""
        trained = self._take(lambda seen: seen.trained)
        for seen in trained:
            if seen.inputs is not None:
                self.evaluations.rows.add(seen.inputs)
        self._modes |= {seen.mode for seen in trained}
        self._trained = self._trained or next(iter(trained), None)
        with torch.no_grad():
            self._tally.fold(trained)

    def _settle(self) -> None:
        """State evaluations that are over: all between epochs, foreign passes during one."""
        self._fold()
        between = self.phases.steps == 0
        key = self._key

        def is_over(seen: Seen) -> bool:
            # What a pass that is trained on does besides may come with every step of it.
            if between:
                return seen.key is None or seen.key != key
            foreign = seen.key is not None and seen.key != key
            return foreign and (not seen.mode or seen.step < self.steps)

        over = self._take(is_over)
        if between or over:
            self.clock.resume(self.recorder.spent())
        self.evaluations.settle(over, self.strand, 0)
        self._unsettled = between and bool(self._forwards)

    def _take(self, chosen: Callable[[Seen], bool]) -> list[Seen]:
        taken: list[Seen] = []
        left: list[Seen] = []
        for seen in self._forwards:
            (taken if chosen(seen) else left).append(seen)
        self._forwards = left
        return taken

    def _probe(self, strand: Strand) -> tuple[Units, ...]:
        """State what the fixed rows give now, and return what their activations showed."""
        strand.probed = (strand.epochs, self.steps)
        if strand.fixed is None:
            return ()
        started = time.perf_counter()
        with self.recorder.watch.quiet():
            found, activations = probe(strand.fixed, strand.id, strand.epochs)
        if found is not None:
            self.recorder.emit(found)
        self.recorder.spend("probes", started)
        return activations

    def _begin_pass(self, iterator: Any) -> None:
        """A loader begins a pass, or goes on with one after another loader's."""
        if self._ending is not None:
            self._end_pass()
        self._due = 0
        self.clock.opened = time.perf_counter()
        key = self._open.get(id(iterator))
        if iterator._num_yielded == 1 or key is None:
            sampler = iterator._index_sampler
            self._passes += 1
            number = self._samplers.of(sampler)
            key = self._open[id(iterator)] = (number, id(iterator), self._passes)
            if number not in self._sets:
                self._sets[number] = _size(iterator._dataset, sampler)
        if self.phases.batch(key, key[0]):
            self._close()
        self._key = key

    def _target(self, first: torch.Tensor | None) -> torch.Tensor | None:
        """Return the tensor of the loader's batch that looks like the training's targets."""
        known = None if self.strand is None else self.strand.call
        if known is None:
            return None
        for _, tensor in trees.leaves(self._batch):
            fits = tensor.dtype == known.target.dtype and tensor.dim() == known.target.dim()
            if fits and tensor is not first:
                return tensor if first is None else tensor.to(first.device)
        return None


def _size(dataset: Any, sampler: Any) -> tuple[int | None, int | None, str]:
    """Return a loader's rows (the sampler may take some only), rows in a batch, and data set."""
    batch = getattr(sampler, "batch_size", None)
    try:
        rows = len(getattr(sampler, "sampler", dataset))
    except (TypeError, NotImplementedError):
        rows = None
    return rows, batch if isinstance(batch, int) else None, type(dataset).__name__
