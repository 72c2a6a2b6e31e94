"""Stands beside a recorder and lets witnesses hear what the loop does, one signal after another."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from pipetrace.capture import places, roots, trees
from pipetrace.capture.guard import cuda_in_use
from pipetrace.capture.handlers import pass_on
from pipetrace.observing.allowance import Allowance
from pipetrace.observing.calls import Calling
from pipetrace.observing.witness import Count, Made, Turn, Witness
from pipetrace.records import Notice
from pipetrace.training.recorder import Recorder

_NODES = 8
"""A backward is looked for in so many tensors of an output."""


class Observer:
    """Hears the signals of one program for its witnesses.

    Args:
        recorder: Records the same program; what is stated goes into its file.
        witnesses: Beside the one of calls, which is always there.
        allowance: What observing may cost; None for a program that is to be checked.

    Attributes:
        calls: The witness of calls; it keeps a forward of each kind to be played again.
    """

    def __init__(
        self, recorder: Recorder, witnesses: Sequence[Witness] = (), *,
        allowance: Allowance | None = None,
    ) -> None:  # fmt: skip
        self._recorder, self._allowance = recorder, allowance
        self.calls = Calling(recorder, frugal=allowance is not None)
        self._witnesses: list[Witness] = [self.calls, *witnesses]
        self._hooks: list[RemovableHandle] = []
        self._steps = 0
        self._count = Count()
        self._on = self._begun = False

    def begin(self) -> None:
        """Start to observe, while the recorder watches."""
        for witness in self._witnesses:
            witness.begin()
        self._hooks = [
            register_optimizer_step_pre_hook(lambda optimizer, *_: self._about_to_step(optimizer)),
            register_optimizer_step_post_hook(lambda optimizer, *_: self._stepped(optimizer)),
        ]
        self._on = self._begun = True

    def end(self) -> None:
        """Stop to observe, and state what was seen; called once the recorder has ended."""
        if self._on:
            self._leave()
        if self._begun:
            self._begun = False
            self._heard(self._state)

    def handed(self, model: nn.Module) -> None:
        """Pass on that a model is handed over before its loop runs."""
        self._heard(self._each, "handed", model)

    def around(
        self, call: Callable[..., Any], model: nn.Module, /, *args: Any, **kwargs: Any
    ) -> Any:  # fmt: skip
        """Make the outermost call of a module: what the program gets is what the call returns."""
        if not self._on:
            return call(model, *args, **kwargs)
        graph = torch.is_grad_enabled()
        made = self._heard(self._about, model, args, kwargs, graph, sys._getframe(1))
        output = call(model, *args, **kwargs)
        if made is not None and self._on:
            self._heard(self._called, made, output)
        return output

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Pass on that a loss function has returned."""
        if self._on and _read([result, *args[:2]]):
            self._heard(self._each, "loss_called", name, args, kwargs, result)

    def backward_called(self, tensors: Sequence[torch.Tensor]) -> None:
        """Pass on that a backward is about to run."""
        if self._on and tensors and _read(tensors[:1]):
            self._heard(self._each, "backward_called", tensors)

    def said(self, value: Any) -> None:
        """Pass on what a step of the program returned."""
        if self._on:
            self._heard(self._each, "said", value)

    def _about(
        self, model: nn.Module, args: Any, kwargs: Any, graph: bool, frame: Any
    ) -> Made | None:  # fmt: skip
        root = self._recorder.roots.get(id(model))
        if root is None or root.ref() is not model:
            return None
        if not _read(trees.tensors([*args, *kwargs.values()])):
            return None
        made = Made(root, roots.unwrapped(model), args, kwargs, graph, self._steps,
                    places.caller(frame), Turn(-1, self._steps, self._count))  # fmt: skip
        self._each("about", made)
        return made

    def _called(self, made: Made, output: Any) -> None:
        if made.graph:
            found = [tensor.grad_fn for tensor in trees.tensors([output]) if tensor.grad_fn]
            for node in dict.fromkeys(found[:_NODES]):
                node.register_prehook(made.turn.reached)
        self._each("called", made, output)

    def _about_to_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self._on and self._recorder.watch.hears:
            self._heard(self._each, "stepping", optimizer)

    def _stepped(self, optimizer: torch.optim.Optimizer) -> None:
        if self._on and self._recorder.watch.hears:
            self._heard(self._each, "stepped", optimizer)
            self._steps += 1
            spared = self._allowance
            if self._on and spared is not None and spared.over(self.calls.playing):
                self._stop_early()

    def _each(self, signal: str, *heard: Any) -> None:
        for witness in self._witnesses:
            getattr(witness, signal)(*heard)

    def _state(self) -> None:
        for witness in self._witnesses:
            self._recorder.emit(*witness.facts())

    def _stop_early(self) -> None:
        """Between two steps: what was seen until here is as if the program ended here."""
        self._leave()
        many = "step" if self._steps == 1 else "steps"
        text = (
            f"The loop was observed for silent bugs for its first {self._steps} {many}: more would "
            "have slowed it down. `pipetrace check` observes all of it."
        )
        self._recorder.emit(Notice(id="observer-stopped", text=text))

    def _heard(self, listener: Callable[..., Any], *heard: Any) -> Any:
        """Let somebody hear a signal; an error of ours never reaches the program."""
        # A graph of CUDA that is being recorded is spoilt by whoever reads a number.
        if cuda_in_use() and torch.cuda.is_current_stream_capturing():
            return None
        started = time.thread_time()
        try:
            with self._recorder.watch.quiet(), torch.no_grad():
                return listener(*heard)
        except Exception as error:
            pass_on(error)
            self._give_up(error)
            return None
        finally:
            if self._allowance is not None:
                self._allowance.spend(started)

    def _leave(self) -> None:
        self._on = False
        for hook in self._hooks:
            hook.remove()
        for witness in self._witnesses:
            with contextlib.suppress(Exception):
                witness.end()

    def _give_up(self, error: Exception) -> None:
        if self._on:
            self._leave()
        where = traceback.extract_tb(error.__traceback__)[-1]
        self._recorder.emit(
            Notice(
                id="observer",
                text=f"The loop was observed for {self._steps} steps only: pipetrace itself raised "
                f"{type(error).__name__}: {error} ({Path(where.filename).name}, line "
                f"{where.lineno}). The program went on without it. Please report this.",
            )
        )


def _read(values: Iterable[Any]) -> bool:
    """Tell whether tensors have numbers that can be read: stand-ins have none, nested no shape."""
    return not any(
        tensor.is_meta or tensor.is_nested or isinstance(tensor, FakeTensor)
        for tensor in values
        if isinstance(tensor, torch.Tensor)
    )
