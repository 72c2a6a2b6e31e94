"""The same fixed training rows at an epoch's last weights, with dropout on and with dropout off."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture.guard import Snapshot
from pipetrace.capture.guard import seed as reseed
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.quiet import unheard
from pipetrace.capture.replay import Call, Outcome, in_mode
from pipetrace.parts import Units
from pipetrace.records import Op, Probe, Score, Spectrum
from pipetrace.training import distributions, scores
from pipetrace.training.rectified import RECTIFIERS, Rectified
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.tallies import Seen, read

MASKS = 4
"""How many masks the loss with dropout on is the mean of."""
_SEED = 20_260_000
_WORK = 2_000_000
"""Parameters x rows x passes up to which a probe costs next to nothing."""
_ROWS = 256


class Fixed(NamedTuple):
    """What every probe of a training uses."""

    model: weakref.ref[nn.Module]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: torch.Tensor
    call: LossCall
    pairing: Pairing
    modes: tuple[bool, ...]
    """With dropout on: train mode where the loop had it and the forward drew random numbers."""
    random: bool
    """Whether a forward in these modes draws random numbers."""
    activations: tuple[str, ...] = ()
    """Modules that call a ReLU-like function, in the order of the calls."""
    leaves: tuple[str, ...] = ()
    """Modules whose outputs are counted."""


class Probed(NamedTuple):
    """What one look at the fixed rows gave."""

    probe: Probe | None = None
    """None where the model is gone, or it or the loss function cannot be called again."""
    units: tuple[Units, ...] = ()
    """The units that gave nothing for any row in eval mode."""
    activations: tuple[Spectrum, ...] = ()


class Gathering:
    """The first training forward that was captured, and as many batches after it as are free."""

    def __init__(self, call: Call, seen: Seen, outcome: Outcome) -> None:
        self.seen = seen
        self.target: torch.Tensor | None = None
        self._call = call
        self._random = outcome.random
        ops = [fact for fact in outcome.facts if isinstance(fact, Op)]
        self._drawing = {op.module for op in ops if op.random or op.mask}
        self._activations = tuple(op.module for op in ops if op.function in RECTIFIERS)
        self._leaves = distributions.modules(call.model, ops)
        self._more: list[tuple[torch.Tensor, Seen]] = []
        parameters = sum(p.numel() for p in call.model.parameters())
        self._free = min(_ROWS, _WORK // max(1, parameters * (MASKS + 1))) - seen.rows
        self._single = len(call.args) == 1 and isinstance(call.args[0], torch.Tensor)

    def add(self, seen: Seen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take another training batch, if the model takes one tensor and there is room."""
        if self._single and not kwargs and seen.rows <= self._free:
            self._more.append((args[0].detach().clone(), seen))
            self._free -= seen.rows

    def fix(self, call: LossCall, pairing: Pairing) -> Fixed | None:
        """Return the rows that every probe will use; None where their targets are not known."""
        if self.target is None:
            return None
        args, targets = self._call.args, [self.target]
        for batch, seen in self._more:
            if seen.used is None or seen.used.target.shape[:1] != batch.shape[:1]:
                break
            args, targets = (torch.cat([args[0], batch]),), [*targets, seen.used.target]
        model = self._call.model
        named = dict(model.named_modules(remove_duplicate=False))
        # What drew outside of the modules known by name may be anywhere.
        known = self._drawing <= named.keys()
        drawing = {id(named[path]) for path in self._drawing} if known else set()
        norms = nn.modules.batchnorm._NormBase
        modes = tuple(
            i.training and (id(i.module) in drawing if known else not isinstance(i.module, norms))
            for i in self._call.snapshot.insides
        )
        return Fixed(weakref.ref(model), args, self._call.kwargs, torch.cat(targets), call,
                     pairing, modes, self._random, self._activations, self._leaves)  # fmt: skip


def probe(fixed: Fixed, training: int, epoch: int) -> Probed:
    """Measure, with one forward in eval mode and one for each mask.

    The masks of every epoch start from the same seeds, so that epochs differ by their weights.
    """
    target, masks = fixed.target, MASKS if fixed.random else 0
    model = fixed.model()
    if model is None:
        return Probed()
    snapshot = Snapshot(model)
    rectified = Rectified() if fixed.activations else None
    listening = distributions.Listening(model, fixed.leaves)
    try:
        with torch.no_grad(), unheard(), snapshot.kept():
            snapshot.switch(False)
            with rectified or contextlib.nullcontext(), listening.on():
                off = [_predict(fixed, model, False)]
            snapshot.switch(fixed.modes)
            on = [_drawn(fixed, model, seed) for seed in range(masks)] or off
            losses = read([scores.apply(fixed.call, each, target) for each in (*off, *on)])
            rights = [_accuracy(fixed, predictions) for predictions in (off, on)]
    except Exception as error:
        pass_on(error)
        return Probed()
    rows = int(target.shape[0])
    units = () if rectified is None else rectified.units(fixed.activations, rows)
    found = Probe(
        training=training, epoch=epoch, masks=masks,
        on=Score(rows=rows, loss=sum(losses[1:]) / len(on), accuracy=rights[1]),
        off=Score(rows=rows, loss=losses[0], accuracy=rights[0]),
        on_low=min(losses[1:]), on_high=max(losses[1:]),
    )  # fmt: skip
    return Probed(found, units, listening.spectra())


def _drawn(fixed: Fixed, model: nn.Module, seed: int) -> torch.Tensor:
    reseed(_SEED + seed)
    return _predict(fixed, model, True)


def _predict(fixed: Fixed, model: nn.Module, training: bool) -> torch.Tensor:
    return fixed.pairing.of(model(*fixed.args, **in_mode(fixed.kwargs, training)))


def _accuracy(fixed: Fixed, predictions: list[torch.Tensor]) -> float | None:
    ignore = fixed.call.options.get("ignore_index", -100)
    targets = torch.cat([fixed.target] * len(predictions))
    counts = scores.count(fixed.call.name, torch.cat(predictions), targets, ignore)
    return None if counts is None or not counts[1] else counts[0] / counts[1]
