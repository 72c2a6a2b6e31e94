"""Whether the gradients that were clipped are those that a step used, and without a loss scale."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad

from pipetrace.observed import Clipped
from pipetrace.observing.optimizers import Known, Optimizers, line, norm
from pipetrace.observing.witness import Witness
from pipetrace.observing.wrapping import Wrapping
from pipetrace.parts import Place
from pipetrace.records import Fact
from pipetrace.training.recorder import Recorder

_NAMES = {"_clip_grads_with_norm_": "clip_grad_norm_", "clip_grad_value_": "clip_grad_value_"}
"""What does the work, also for who has imported the function by its name, and what that is."""
_SAMPLE = 3


class _Gradient(NamedTuple):
    """A gradient at the moment in which it had been clipped."""

    tensor: weakref.ref[torch.Tensor]
    gradient: weakref.ref[torch.Tensor]
    version: int

    def same(self) -> bool:
        tensor, gradient = self.tensor(), self.gradient()
        known = tensor is not None and gradient is not None and tensor.grad is gradient
        return known and gradient is not None and gradient._version == self.version


class _Clips:
    """Clipping of one optimizer's gradients, from step to step."""

    def __init__(self, known: Known, function: str, place: Place | None, limit: float) -> None:
        self.known, self.function, self.place, self.limit = known, function, place, limit
        self.steps = self.missed = self.scaled = 0
        self.scale: float | None = None
        self.norm: float | None = None
        self.now: list[list[_Gradient]] = []
        self.ran = self.stepping = self._inside = False
        self._verdict: float | None = None
        """The norm of gradients that were not the clipped ones; None where they were."""

    def clipped(self, tensors: Sequence[torch.Tensor]) -> None:
        given = [tensor for tensor in tensors if tensor.grad is not None][:_SAMPLE]
        self.now.append([
            _Gradient(weakref.ref(t), weakref.ref(t.grad), t.grad._version)
            for t in given if t.grad is not None
        ])  # fmt: skip
        self.ran = False

    def step(self) -> None:
        self.stepping = True
        self._verdict = self._look()

    def backward(self) -> None:
        self.ran = True
        self._inside = self._inside or self.stepping

    def stepped(self) -> None:
        # A closure makes the gradients, and clips them, inside of the step.
        verdict = self._look() if self._inside else self._verdict
        self.steps += bool(self.now)
        if verdict is not None:
            self.missed += 1
            self.norm = max(self.norm or 0.0, verdict)
        self.now, self.ran, self.stepping, self._inside = [], False, False, False

    def _look(self) -> float | None:
        right = any(each and all(gradient.same() for gradient in each) for each in self.now)
        if not self.now or not self.ran or right:
            return None
        return norm([t.grad for t in self.known.parameters() if t.grad is not None])

    def told(self) -> Clipped:
        return Clipped(
            optimizer=self.known.id, function=self.function, place=self.place, limit=self.limit,
            steps=self.steps, missed=self.missed, scaled=self.scaled, scale=self.scale,
            norm=self.norm,
        )  # fmt: skip


class Clipping(Witness):
    """The witness of clipping."""

    def __init__(self, recorder: Recorder, optimizers: Optimizers) -> None:
        self._optimizers = optimizers
        self._wrapping = Wrapping(recorder)
        self._all: dict[int, _Clips] = {}
        self._waiting: list[tuple[str, Place | None, float, list[weakref.ref[torch.Tensor]]]] = []

    def begin(self) -> None:
        """Hear PyTorch's functions that clip, and its scaler."""
        for name in _NAMES:
            if hasattr(clip_grad, name):
                self._wrapping.hear(clip_grad, name, self._listener(name), torch.nn.utils)
        self._wrapping.hear(GradScaler, "unscale_", self._unscaled)

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Gradients change from here on."""
        for clips in self._all.values():
            clips.backward()

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """Compare what is stepped on with what was clipped."""
        clips = self._all.get(self._optimizers.of(optimizer).id)
        if clips is not None:
            clips.step()

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Say of a step which gradients it has used."""
        clips = self._all.get(self._optimizers.of(optimizer).id)
        if clips is not None:
            clips.stepped()

    def end(self) -> None:
        """Hear no more."""
        self._wrapping.end()

    def facts(self) -> Iterator[Fact]:
        """State every optimizer whose gradients were clipped."""
        for clips in self._all.values():
            yield clips.told()

    def _listener(self, name: str) -> Callable[..., Callable[[], None] | None]:
        def clips(
            parameters: torch.Tensor | Iterable[torch.Tensor], limit: Any = None, *_: Any,
            **named: Any,
        ) -> Callable[[], None] | None:  # fmt: skip
            limit = named.get("clip_value", limit)
            # A generator would be used up: who clips values may hand one over.
            if isinstance(parameters, Iterator) or not math.isfinite(float(limit)):
                return None
            tensors = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
            place = line()
            return lambda: self._clipped(_NAMES[name], place, float(limit), tensors)

        return clips

    def _clipped(
        self, function: str, place: Place | None, limit: float, tensors: list[torch.Tensor]
    ) -> None:  # fmt: skip
        ids = {id(tensor) for tensor in tensors}
        for known in self._optimizers:
            own = [tensor for tensor in known.parameters() if id(tensor) in ids]
            if own:
                clips = self._all.setdefault(known.id, _Clips(known, function, place, limit))
                clips.clipped(own)

    def _unscaled(self, scaler: GradScaler, optimizer: Any, *_: Any, **__: Any) -> None:
        clips = self._all.get(self._optimizers.of(optimizer).id)
        if clips is None or not clips.now or clips.ran or not scaler.is_enabled():
            return
        scale = scaler.get_scale()
        if scale > max(1.0, clips.limit):
            clips.scaled, clips.scale = clips.scaled + 1, scale
