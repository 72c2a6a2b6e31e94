"""A witness hears what a loop does and states facts at the end; it never touches what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture.places import Spot
from pipetrace.records import Fact
from pipetrace.training.captures import Root


class Count:
    """How many calls of root modules there were so far: the time that turns go by."""

    calls = 0


class Turn:
    """What stays of a call: which kind it was of, and whether a backward went through its output.

    Attributes:
        kind: The id of its `Calls`.
        step: Optimizer steps of the whole program before it.
        call: Which call of the whole program it is, from 1.
        backward: So many calls there had been when a backward last went through it; 0 for none.
    """

    __slots__ = ("_count", "backward", "call", "kind", "step")

    def __init__(self, kind: int, step: int, count: Count) -> None:
        self.kind, self.step, self._count, self.backward = kind, step, count, 0
        count.calls += 1
        self.call = count.calls

    @property
    def trained(self) -> bool:
        """Whether a backward has gone through it so far."""
        return self.backward > 0

    def reached(self, *_: Any) -> None:
        """Hear from autograd that a backward went through the output."""
        self.backward = self._count.calls


class Made(NamedTuple):
    """One call of a root module.

    Attributes:
        root: The root; its `id` is that of the model's facts once the call is over.
        model: The user's own module, where the root is a wrapper around it.
        args: The positional inputs, as the program gave them: never to be written to.
        kwargs: The keyword inputs.
        graph: Whether autograd was on.
        step: Optimizer steps of the whole program before it.
        spot: The user's line that made the call.
        turn: What may be kept of it.
    """

    root: Root
    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    graph: bool
    step: int
    spot: Spot | None
    turn: Turn


class Witness:
    """Hears everything and says nothing: what a witness of its own does not need it leaves alone.

    What it keeps of a program it keeps weakly or as a copy, and of a call its `turn`. Every method
    runs unheard and without a gradient; what it raises ends the observing, and not the program.
    """

    def begin(self) -> None:
        """Start: wrap what has to be wrapped."""

    def handed(self, model: nn.Module) -> None:
        """A model is handed over before its loop runs, as `pt.check` gets it."""

    def about(self, made: Made) -> None:
        """A root is about to be called."""

    def called(self, made: Made, output: Any) -> None:
        """The same call has returned `output`."""

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """A loss function of `torch.nn.functional` has returned `result`."""

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """A backward is about to run from these tensors."""

    def stepping(self, optimizer: torch.optim.Optimizer) -> None:
        """An optimizer is about to step."""

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """It has stepped."""

    def said(self, value: Any) -> None:
        """A step that was handed over, `eval_step` for example, has returned `value`."""

    def end(self) -> None:
        """Stop: put back what was wrapped."""

    def facts(self) -> Iterator[Fact]:
        """State what was seen; called once, after the end."""
        return iter(())
