"""One run of training inside a program: its model, optimizers, loss, and numbers by step."""

from __future__ import annotations

import gc
import math
import time
import weakref
from typing import Any

import torch
from torch import nn

from pipetrace.capture import roots
from pipetrace.records import Argument, Checksum, Histograms
from pipetrace.tracefile import Writer
from pipetrace.training.distributions import Moments
from pipetrace.training.probe import Fixed
from pipetrace.training.scores import LossCall, Pairing
from pipetrace.training.tallies import read

_ALWAYS = 10
_FREE = 0.25
"""The first epochs are all probed, as long as that took no more than so many seconds."""
_SHARE = 1 / 200
"""Later, probes take at most this share of the time, so that nobody notices."""
_SETTINGS = ("lr", "momentum", "weight_decay", "betas")


class Pace:
    """Lets what must not take long run so often that it takes a small share of the training time.

    Attributes:
        spent: Seconds that it has taken.
        since: Seconds of training since it ran last.
    """

    def __init__(self) -> None:
        self.spent = self.since = self._last = 0.0

    def took(self, started: float) -> None:
        """It ran since `started`, a reading of `time.perf_counter()`."""
        self._last = time.perf_counter() - started
        self.spent += self._last
        self.since = 0.0

    def allows(self, ahead: float = 0.0) -> bool:
        """Tell whether it may run again after so many seconds of training."""
        return self.since + ahead > self._last / _SHARE


class Strand:
    """What is known of a run of training while it goes on."""

    def __init__(self, id: int, model_id: int, model: nn.Module | None) -> None:
        self.id = id
        self.model_id = model_id
        self._model = None if model is None else weakref.ref(model)
        self.kept = model
        """The model, so that it can be asked when the program has let it go at its end."""
        self.by_hand = False
        """Parameters are changed without an optimizer."""
        self.several = False
        """Several optimizers step on losses of their own."""
        self.shares = False
        """Each backward's loss is a share of its step's, not one of several to average."""
        self.optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self.ends: list[int] = []
        """Steps of the whole program at which its epochs ended."""
        self.call: LossCall | None = None
        self.pairing: Pairing | None = None
        self.fixed: Fixed | None = None
        self.trained = 0
        """Rows of all its epochs."""
        self.probed = 0
        """The epoch of the last probe."""
        self.probing = Pace()
        self.initial: Histograms | None = None
        """Of the weights before its first step, where they were captured then."""
        self.moments = Moments()
        self.per_row: float | None = None
        """The weight of a row in the mean loss, where the last epoch counted had one for all."""
        self.evaluations = 0
        self._sum, self._count = 0.0, 0
        self._losses: list[torch.Tensor] = []
        self._rates: list[float] = []
        self._bare: list[int] = []
        """Which of the steps that wait had no loss."""
        self._rate: float | None = None
        """The first group's learning rate in the last step, and that of all groups then."""
        self._used: tuple[float, ...] = ()

    @property
    def model(self) -> nn.Module | None:
        """The model, while the program keeps it."""
        return None if self._model is None else self._model()

    @property
    def epochs(self) -> int:
        """How many epochs are completed."""
        return len(self.ends)

    def owns(self, optimizer: torch.optim.Optimizer | None) -> bool:
        """Tell whether an optimizer (None: a hand) has stepped in this run."""
        if optimizer is None:
            return self.by_hand
        return any(ref() is optimizer for ref in self.optimizers)

    def join(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Let an optimizer, or a hand, belong to this run."""
        if optimizer is None:
            self.by_hand = True
        else:
            self.optimizers.append(weakref.ref(optimizer))

    def step(self, rate: Any, losses: list[torch.Tensor]) -> int:
        """Keep a step's loss, the mean (or sum) of its backwards, and the first learning rate.

        A step that had none keeps its place: the series are by step. Returns how many wait.
        """
        if not losses:
            self._bare.append(len(self._rates))
        elif len(losses) == 1:
            self._losses.append(losses[0])
        else:
            several = torch.stack(losses)
            self._losses.append(several.sum() if self.shares else several.mean())
        if type(rate) is not float:
            rate = math.nan if rate is None else float(rate)
        self._rates.append(rate)
        if rate != self._rate and rate == rate:
            self._rate, self._used = rate, self._now() or (rate,)
        return len(self._rates)

    def hand(self) -> str:
        """Return the name of what changes the parameters, where the model says who trains it."""
        trainer = self._trainer()
        return "" if trainer is None else type(trainer).__name__

    def rate_by_hand(self) -> float | None:
        """Return the rate of an optimizer that is none of PyTorch's, where the model has one."""
        try:
            rate = getattr(self._trainer(), "learning_rate", None)
            return None if rate is None else float(rate)
        except Exception:  # it is something else altogether
            return None

    def _trainer(self) -> Any:
        try:
            return getattr(self.model, "optimizer", None)
        except Exception:  # a property of the user's
            return None

    def write(self, writer: Writer) -> None:
        """Hand the series over, with one transfer from the device."""
        losses, rates, self._losses, self._rates = read(self._losses), self._rates, [], []
        self._sum += sum(losses)
        self._count += len(losses)
        for at in self._bare:
            losses.insert(at, math.nan)
        self._bare = []
        writer.scalars(f"loss/{self.id}", losses)
        writer.scalars(f"rate/{self.id}", rates)
        writer.breathe()

    def mean_loss(self) -> float | None:
        """Return the mean of the steps' losses since the last call; None where there were none."""
        mean = self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        return mean

    def rates(self) -> tuple[float, ...]:
        """Return the learning rate of every parameter group in the last step.

        A scheduler may have set those of the next epoch since.
        """
        now = self._now() or self._used
        return now if self._rate is None or self._rate in now else self._used

    def decays(self) -> tuple[float, ...]:
        """Return the weight decay of every parameter group now, 0 where there is none."""
        return tuple(float(group.get("weight_decay", 0.0)) for group in self._groups())

    def due(self, more: int = 0, ahead: float = 0.0) -> bool:
        """Tell whether to look closely at an epoch that ends after `more` others, `ahead` seconds.

        The first ones are looked at as long as that is cheap; later, it takes a share of the time
        that nobody notices.
        """
        early = self.epochs + more <= _ALWAYS and self.probing.spent < _FREE
        return early or self.probing.allows(ahead)

    def turns(self) -> int:
        """Return how many optimizers take turns."""
        return sum(ref() is not None for ref in self.optimizers)

    def checksum(self, step: int) -> Checksum | None:
        """Return what tells whether replicas of the model drift apart; None where none is here."""
        parameters = () if self.model is None else tuple(self.model.parameters())
        if self.model is None or roots.spread(self.model):
            return None
        with torch.no_grad():
            sums = read([p.sum(dtype=torch.float64) for p in parameters])
            norms = read([torch.linalg.vector_norm(p, dtype=torch.float64) for p in parameters])
        return Checksum(training=self.id, epoch=self.epochs, step=step, sum=math.fsum(sums),
                        norm=math.hypot(*norms))  # fmt: skip

    def _now(self) -> tuple[float, ...]:
        return tuple(float(group["lr"]) for group in self._groups())

    def _groups(self) -> list[dict[str, Any]]:
        alive = [optimizer for ref in self.optimizers if (optimizer := ref()) is not None]
        return [group for optimizer in alive for group in optimizer.param_groups]


class ByHand:
    """Notices parameters that change between a backward and the next forward by no optimizer."""

    def __init__(self) -> None:
        self.waiting = False
        """A backward has run since the last step."""
        self._sums: list[float] | None = None
        self._known = False

    def backward(self, model: nn.Module | None) -> None:
        """A backward is about to run through a model."""
        if model is not None and not self.waiting:
            self.waiting = True
            self._sums = None if self._known else _sums(model)

    def changed(self, model: nn.Module) -> bool:
        """Tell at the next forward whether somebody has changed the parameters."""
        self.waiting = False
        # What moves parameters for a while, and back again, leaves the step to an optimizer.
        self._known = self._known or (self._sums != _sums(model) and not _optimized(model))
        return self._known


def _optimized(model: nn.Module) -> bool:
    """Tell whether there is an optimizer for a model, by asking the garbage collector."""
    own = {id(parameter) for parameter in model.parameters()}
    # By type: an instance may answer `isinstance` with code of its own.
    alive = [o for o in gc.get_objects() if issubclass(type(o), torch.optim.Optimizer)]
    return any(id(p) in own for o in alive for group in o.param_groups for p in group["params"])


def _sums(model: nn.Module) -> list[float]:
    if roots.spread(model):
        return []
    with torch.no_grad():
        return [float(p.detach().sum()) for p in model.parameters() if p.requires_grad]


def settings(optimizer: torch.optim.Optimizer) -> tuple[Argument, ...]:
    """Return an optimizer's learning rate and what else a person sets, where it is not zero."""
    group = optimizer.param_groups[0]
    return tuple(
        Argument(name=name, value=str(group[name])) for name in _SETTINGS if group.get(name)
    )
