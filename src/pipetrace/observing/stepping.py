"""Which gradients an optimizer finds: of which calls, added to old ones, or cleared too early."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from pipetrace.observed import Stepped
from pipetrace.observing.optimizers import Known, Optimizers, line, nonzero, norm
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.observing.wrapping import Wrapping
from pipetrace.parts import Place
from pipetrace.records import Fact
from pipetrace.training.recorder import Recorder

_LISTED = 1000
_CALLS = 64
_TURNS = 4096
"""After so many calls those from before the last steps are forgotten."""
_SCALING = ("DivBackward0", "MulBackward0")
_HOOKS = 3
"""So many of the gradients that were not cleared are watched while they are summed up."""


class Used(NamedTuple):
    """A gradient that a step has used, and how often it had been written to by then."""

    tensor: weakref.ref[torch.Tensor]
    gradient: weakref.ref[torch.Tensor]
    version: int

    def still(self) -> torch.Tensor | None:
        """Return the gradient where the parameter still has it, and it is not 0."""
        tensor, gradient = self.tensor(), self.gradient()
        if tensor is None or gradient is None or tensor.grad is not gradient:
            return None
        return gradient if nonzero(gradient) else None

    def untouched(self) -> bool:
        """Tell whether nobody has written to it since."""
        gradient = self.gradient()
        return gradient is not None and gradient._version == self.version


class Gradients:
    """The gradients of one optimizer, from step to step."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.since = 0
        """The first call since its last step."""
        self.backwards: list[int] = []
        self.sources: list[tuple[int, ...]] = []
        self.bare = self.emptied = self.kept = self.most = self.clearings = self.unused = 0
        self.divided = self.closures = 0
        self._inside = False
        self.kept_norm: float | None = None
        self.norm: float | None = None
        self.cleared: Place | None = None
        self._given: set[int] = set()
        self.ran = 0
        """Backwards of the whole program before its last step."""
        self._emptying = False
        self._used: list[Used] = []
        self._left: list[Used] | None = []
        self._size = 0.0
        self._summed = False
        self._hooks: list[RemovableHandle] = []

    def backward(self) -> None:
        """A backward is about to run: what of the last step's gradients is still there?"""
        self._emptying = False
        self.closures += self._inside
        if self._left is None:
            self._left = [
                used for used in self._used if used.untouched() and used.still() is not None
            ]
            self._used = []
            if self._left:
                self._size = self._norm()
                self._listen()
        elif self._left:
            self._left = [used for used in self._left if used.still() is not None]

    def step(self, calls: Sequence[Turn], ran: int) -> None:
        """The optimizer is about to step, after so many calls and, in all, backwards."""
        if len(self.sources) < _LISTED:
            self.sources.append(tuple([turn.kind for turn in calls if turn.trained][:_CALLS]))
            self.backwards.append(ran - self.ran)
        self.ran = ran
        self._inside = True
        if not any(nonzero(tensor.grad) for tensor in self.known.parameters()):
            self.bare += 1
            self.emptied += self._emptying
        left = [used for used in self._left or () if used.still() is not None]
        if left and self._summed:
            self.kept += 1
            self.most = max(self.most, len(left))
            self._left = left
            self.kept_norm, self.norm = self._size, self._norm()

    def stepped(self) -> None:
        """It has stepped: these gradients are used up."""
        self._used = [
            Used(weakref.ref(tensor), weakref.ref(tensor.grad), tensor.grad._version)
            for tensor in self.known.parameters() if tensor.grad is not None
        ]  # fmt: skip
        self._given |= {id(used.tensor()) for used in self._used}
        self._left, self._emptying, self._inside = None, False, False
        self.end()

    def unspent(self) -> bool:
        """Tell whether there is a gradient that no step has used."""
        used = {id(each.tensor()): each for each in self._used}
        for tensor in self.known.parameters():
            if nonzero(tensor.grad):
                each = used.get(id(tensor))
                return each is None or each.still() is None or not each.untouched()
        return False

    def wasted(self, ran: int) -> None:
        """Gradients that no step has used were cleared."""
        self.unused += 1
        self._emptying = ran > self.ran

    def end(self) -> None:
        """Let go of the parameters that are watched."""
        self._summed = False
        while self._hooks:
            self._hooks.pop().remove()

    def told(self) -> Stepped:
        """Return what is known."""
        known = self.known
        return Stepped(
            id=known.id, type=known.type, place=known.place, steps=known.steps,
            parameters=len(known.owned()), without=len(known.owned().keys() - self._given),
            sources=tuple(self.sources),
            backwards=tuple(self.backwards), bare=self.bare, emptied=self.emptied, kept=self.kept,
            kept_parameters=self.most, kept_norm=self.kept_norm, norm=self.norm,
            divided=self.divided, closures=self.closures, clearings=self.clearings,
            cleared=self.cleared, unused=self.unused,
        )  # fmt: skip

    def _norm(self) -> float:
        found = [used.gradient() for used in self._left or ()]
        return norm([gradient for gradient in found if gradient is not None])

    def _listen(self) -> None:
        """Hear whether a backward adds to what was left: a program may also write over it."""

        def summed(_: torch.Tensor) -> None:
            self._summed = True

        for used in (self._left or [])[:_HOOKS]:
            tensor = used.tensor()
            if tensor is not None and tensor.requires_grad and tensor.is_leaf:
                register: Any = tensor.register_post_accumulate_grad_hook
                self._hooks.append(register(summed))


class Stepping(Witness):
    """The witness of gradients between steps."""

    def __init__(self, recorder: Recorder, optimizers: Optimizers) -> None:
        self._optimizers = optimizers
        self._wrapping = Wrapping(recorder)
        self._all: dict[int, Gradients] = {}
        self._turns: list[Turn] = []
        self._forgotten = 0
        self._ran = 0

    def begin(self) -> None:
        """Hear when gradients are cleared."""
        self._wrapping.hear(torch.optim.Optimizer, "zero_grad", self._clears)
        self._wrapping.hear(nn.Module, "zero_grad", self._clears)

    def called(self, made: Made, output: Any) -> None:
        """Keep of a call what tells whether a backward goes through it."""
        if made.graph:
            self._turns.append(made.turn)
            if len(self._turns) > _TURNS:
                self._turns = self._turns[_TURNS // 2 :]
                self._forgotten += _TURNS // 2

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Look at what the steps before have left."""
        self._ran += 1
        divided = type(roots[0].grad_fn).__name__ in _SCALING
        for gradients in self._all.values():
            gradients.backward()
            gradients.divided += divided

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at what an optimizer is about to use."""
        gradients = self._of(optimizer)
        if gradients.known.place is None:
            gradients.known.place = line()
        calls = self._turns[max(0, gradients.since - self._forgotten) :]
        gradients.step(calls, self._ran)
        gradients.since = self._forgotten + len(self._turns)

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Remember what was used."""
        gradients = self._of(optimizer)
        gradients.known.steps += 1
        gradients.stepped()

    def end(self) -> None:
        """Hear no more."""
        self._wrapping.end()
        for gradients in self._all.values():
            gradients.end()

    def facts(self) -> Iterator[Fact]:
        """State every optimizer."""
        for gradients in self._all.values():
            yield gradients.told()

    def _of(self, optimizer: torch.optim.Optimizer) -> Gradients:
        known = self._optimizers.of(optimizer)
        return self._all.setdefault(known.id, Gradients(known))

    def _clears(self, cleared: Any, *_: Any, **__: Any) -> Callable[[], None] | None:
        """Note what is thrown away by an optimizer or a module that clears gradients."""
        own = isinstance(cleared, torch.optim.Optimizer)
        found = [self._of(cleared)] if own else list(self._all.values())
        unspent = [gradients for gradients in found if gradients.unspent()]
        place = line()
        for gradients in found if own else ():
            gradients.clearings += 1
            gradients.cleared = place

        def after() -> None:
            for gradients in unspent:
                if not gradients.unspent():
                    gradients.wasted(self._ran)

        return after
