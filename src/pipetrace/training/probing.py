"""What a probe needs is gathered while the first epoch runs; then the probes of a training run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from pipetrace.capture.replay import Call, Outcome
from pipetrace.parts import Units
from pipetrace.records import Histograms
from pipetrace.training import distributions, scores
from pipetrace.training.probe import Gathering, Probed, probe
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.strands import Strand
from pipetrace.training.tallies import Seen

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder


class Probing:
    """Gathers the fixed rows, their targets and the way from outputs to losses for a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pair: tuple[int, LossCall, Pairing] | None = None
        self._gathering: Gathering | None = None
        self._initial: tuple[int, int, Histograms] | None = None
        """A model's weights as they were captured, before which step of the program."""

    def captured(self, call: Call, seen: Seen, outcome: Outcome) -> None:
        """A training forward was captured: the probe's rows begin with it."""
        if self._gathering is None or self._gathering.seen.model != seen.model:
            self._gathering = Gathering(call, seen, outcome)
            if seen.used is not None:
                self._gathering.target = seen.used.target.detach().clone()
            weights = distributions.spectra(call.model)
            self._initial = seen.model, seen.step, Histograms(training=0, epoch=0, weights=weights)

    def called(self, seen: Seen, args: Any, kwargs: Any) -> None:
        """A training forward has run: its rows are taken too, if there is room."""
        if self._gathering is not None and self._gathering.seen.model == seen.model:
            self._gathering.add(seen, args, kwargs)

    def learns(self, seen: Seen, call: LossCall, output: Any, begins: bool) -> None:
        """A loss function was called that training starts from; `begins`: maybe a new training."""
        if self._gathering is not None and self._gathering.seen is seen:
            self._gathering.target = call.target.detach().clone()
        if begins and self._pair is None and output is not None:
            pairing = scores.pair(output, call)
            self._pair = None if pairing is None else (seen.model, call, pairing)

    def joined(self, strand: Strand) -> None:
        """A training has begun, with the step to come."""
        if self._initial is not None:
            model, step, found = self._initial
            if (model, step) == (strand.model_id, self._recorder.course.steps) and found.weights:
                strand.initial = msgspec.structs.replace(found, training=strand.id)
            self._initial = None
        if self._pair is not None and self._pair[0] == strand.model_id:
            _, strand.call, strand.pairing = self._pair
        self._pair = None

    def fix(self, strand: Strand) -> None:
        """The first epoch is over: the rows stay what they are now."""
        if self._gathering is not None and strand.call is not None and strand.pairing:
            strand.fixed = self._gathering.fix(strand.call, strand.pairing)
        self._gathering = None
        if strand.initial is not None:
            self._recorder.emit(strand.initial)

    def probe(self, strand: Strand) -> tuple[Units, ...]:
        """State what the fixed rows give now, and return what their activations showed."""
        strand.probed = strand.epochs
        model, recorder = strand.model, self._recorder
        if recorder.lean or (strand.fixed is None and model is None):
            return ()
        started = time.perf_counter()
        with recorder.watch.quiet():
            fixed = strand.fixed
            found = Probed() if fixed is None else probe(fixed, strand.id, strand.epochs)
            weights = () if model is None else distributions.spectra(model)
        if found.probe is not None:
            recorder.emit(found.probe)
        if weights or found.activations:
            recorder.emit(*strand.moments.add(Histograms(
                training=strand.id, epoch=strand.epochs, weights=weights,
                activations=found.activations,
            )))  # fmt: skip
        recorder.spend("probes", started)
        strand.probing.took(started)
        return found.units
