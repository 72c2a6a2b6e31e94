"""Hears the signals of a program and states facts: models, epochs, evaluations, captures."""

from __future__ import annotations

import os
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from pipetrace.capture import models, places, replay, roots, trees
from pipetrace.capture.failures import Failed
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.kept import AtHand
from pipetrace.records import Fact, Notice, Seed
from pipetrace.tracefile import Writer
from pipetrace.training.backwards import node_of
from pipetrace.training.captures import Captures, Prepared, Root, untraceable
from pipetrace.training.course import Course
from pipetrace.training.nests import Nest, nest, reread
from pipetrace.training.scores import LossCall, loss_call, plain
from pipetrace.training.signals import Watch
from pipetrace.training.strands import ByHand
from pipetrace.training.tallies import Seen

_UNSEEDED = 67280421310721
"""What `torch.initial_seed()` says in a process that nobody seeded."""
_STAND_INS = FakeTensor, FunctionalTensor


class Stopped(BaseException):
    """Ends a script after the number of steps that was asked for."""


Coming = tuple[Root, torch.Tensor | None, bool, Prepared]
"""A call that is about to be made: its root, first input, whether to learn, what a replay needs."""


class Recorder:
    """Watches one program and appends what it does to a run file.

    Args:
        writer: Where facts go.
        steps: Stop the program after so many optimizer steps.
        values: Whether real values may be kept.
        sample: Which held-out row the prediction is about.
        lean: Whether forwards are neither captured nor predicted: an observer captures them.
    """

    def __init__(
        self, writer: Writer, *, steps: int | None = None, values: bool = True, sample: int = 0,
        lean: bool = False,
    ) -> None:  # fmt: skip
        self.writer, self.values, self.kept, self.lean = writer, values, AtHand(), lean
        self.costs: dict[str, float] = {}
        self.captures = self.forwards = self.backwards = 0
        self.watch: Watch = Watch(self)
        self.course = Course(self, sample)
        self._captures = Captures(self)
        self.batch_came = self.course.passes.came
        self.pass_ended = self.course.passes.ended
        self.failure: tuple[int, Failed] | None = None
        self._limit, self._count = steps, 0
        self._seed: Seed | None = None
        self.roots: dict[int, Root] = {}
        self._others: dict[int, weakref.ref[nn.Module]] = {}
        self._output: Any = None
        self._direct: torch.Tensor | None = None
        """The loss of the last forward's very output."""
        self._node: Any = None
        """The last forward's output, or the graph behind one that is no tensor, until asked."""
        self._inner: list[tuple[LossCall, torch.Tensor]] = []
        self._by_hand = ByHand()
        self._stepping = self._told = False
        self._last: Seen | None = None
        self._learner: Root | None = None
        """The root that was called last to learn, once it is not to be captured any more."""
        self._unmake: Callable[[], None] = lambda: None
        self._on = False

    def begin(self) -> None:
        """Start to watch this process; a forked child is not watched."""
        reread()
        self._unmake = places.watch_making()
        self.watch.begin()
        self._on = True
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (forget() or (lambda: None))())

    def end(self) -> None:
        """Stop to watch, and state what is still open."""
        self.watch.end()
        if self._on:
            try:
                with self.watch.quiet():
                    self.step_by_hand()
                    self.course.finish()
            except Exception as error:
                self.give_up(error)
            self._let_go()

    def forward(
        self, call: Callable[..., Any], model: nn.Module, args: Any, kwargs: Any
    ) -> Any:  # fmt: skip
        """Make an outermost call: what the program gets is what the call returns."""
        root, course = self._learner, self.course
        if root is not None and course.steady and root.ref() is model and model.training:
            bare = course.phases.wants_nest
            if torch.is_grad_enabled() and not (bare and not course.stands(sys._getframe(2))):
                return self._again(root, call, model, args, kwargs)
        try:
            coming = self._before(model, args, kwargs)
        except Exception as error:
            self.give_up(error)
            coming = None
        if coming is None:
            return call(model, *args, **kwargs)
        try:
            output = call(model, *args, **kwargs)
        except Exception as error:
            self._raised(coming[0], coming[3], model, args, kwargs, error)
            raise
        try:
            self._after(coming, model, args, kwargs, output)
        except Exception as error:
            self.give_up(error)
        return output

    def give_up(self, error: Exception) -> None:
        """Record no more after an error of our own; the program goes on as if alone."""
        pass_on(error)
        if self._on:
            self.watch.end()
            where = traceback.extract_tb(error.__traceback__)[-1]
            file = Path(where.filename).name
            self.emit(
                Notice(
                    id="recorder",
                    text=f"Recording stopped after {self.course.steps} steps: pipetrace itself "
                    f"raised {type(error).__name__}: {error} ({file}, line {where.lineno}). The "
                    "program went on without it. Please report this.",
                )
            )
            self._let_go()

    def _let_go(self) -> None:
        """Keep nothing of the program, which may keep us: it imported what we wrapped."""
        self._on = False
        self._unmake()
        self._output = self._direct = self._node = self._last = self._learner = None
        self._inner = []
        steps, self.course = self.course.steps, Course(self, 0)
        self.course.steps = steps
        self.batch_came = self.course.passes.came
        self.pass_ended = self.course.passes.ended

    def step_by_hand(self) -> None:
        """Count the last change by hand, which no forward came after."""
        if not self._by_hand.waiting or self._stepping or self._last is None:
            return
        model = self.model(self._last.model)
        if model is not None and self._by_hand.changed(model):
            self.course.stepped(None, ())
        else:
            self._by_hand.waiting = True

    def _again(
        self, root: Root, call: Callable[..., Any], model: nn.Module, args: Any, kwargs: Any
    ) -> Any:  # fmt: skip
        """Make a call in a step of a loop that is known: most calls, so little is looked at."""
        if self._node is not None:
            self._ask_autograd()
        self._last = self._output = self._direct = None
        self._inner = []
        try:
            output = call(model, *args, **kwargs)
        except Exception as error:
            self._raised(root, None, model, args, kwargs, error)
            raise
        try:
            first = trees.first(args or kwargs)
            shape = () if first is None or first.is_nested else first.shape
            seen = self.course.again(root.id, shape[0] if shape else 0)
            self._last, self._output = seen, output
            self._node = output if type(output) is torch.Tensor else node_of(output)
            if self._inner:
                self._called_inside(seen, output)
        except Exception as error:
            self.give_up(error)
        return output

    def _before(self, model: nn.Module, args: Any, kwargs: Any) -> Coming | None:
        """Look at a call that is about to be made; None where it is nothing to us."""
        root = self.roots.get(id(model))
        if root is None or root.ref() is not model:
            root = self._meet(model)
            if root is None:
                return None
        if self._node is not None:
            self._ask_autograd()
        self._output = self._last = self._direct = None
        self._inner = []
        course = self.course
        learning = torch.is_grad_enabled() and model.training
        first = trees.first(args or kwargs)
        if first is not None and first.is_meta:  # shapes are tried out: nothing is computed
            return None
        if first is not None and first.is_nested:  # it has no one shape, and no rows of a table
            first = None
        around: Nest = ()
        bare = course.phases.wants_nest
        if bare:
            around = nest(sys._getframe(3))
        if self._by_hand.waiting and not self._stepping and self._by_hand.changed(model):
            course.stepped(None, around)
        if bare:
            course.about_to_call(around, first, not learning)
            if learning:
                course.learns_within(around, sys._getframe(3))
        self.forwards += 1
        purpose = "training" if learning else "evaluation"
        prepared = None
        if root.tries[purpose] > 0 and root.traceable:
            prepared = self._captures.prepare(root, model, purpose, args, kwargs)
        return root, first, learning, prepared

    def _after(self, coming: Coming, model: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Look at a call that has been made."""
        root, first, learning, prepared = coming
        if root.id < 0:
            if trees.first(output) is None:  # a stand-in went in, and a stand-in came out
                return
            self._state(root, model)
        if isinstance(prepared, replay.Later):
            prepared = prepared.take()
        seen = self.course.called(root.id, model, first, args, kwargs, output, learning)
        self._last, self._output = seen, output
        self._node = output if type(output) is torch.Tensor else node_of(output)
        if learning:
            self._learner = None if root.tries["training"] else root
        if self._inner:
            self._called_inside(seen, output)
        if prepared is not None:
            purpose = "training" if learning else "evaluation"
            self._captures.take(root, purpose, prepared, output, seen)

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Keep what a loss function was given for the forward it came after."""
        seen = self._last
        if self._brief(seen, args, kwargs, result):
            return
        call = loss_call(name, args, kwargs, result)
        if call is None:
            self._unread(name, result)
            return
        if seen is None:
            self._inner.append((call, result))
        elif seen.used is None:
            if args and args[0] is self._output:
                self._direct = result
            self.course.loss_called(seen, call, result, self._output)
        else:
            self.course.another_loss(seen, call, result, self._output)

    def _brief(self, seen: Seen | None, args: Any, kwargs: Any, result: Any) -> bool:
        """Keep the loss alone in a step of a known loop, where all else is known well enough."""
        course = self.course
        if seen is None or seen.turn >= 0 or not course.brief:
            return False
        if seen.loss is not None:
            if not seen.trained:  # of two losses the backward tells which one is trained on
                self._direct = seen.loss = seen.uncounted = None
            return False
        plain = type(result) is torch.Tensor and kwargs.get("reduction", "mean") == "mean"
        if not plain or not args or args[0] is not self._output or course.strand is None:
            return False
        self._direct, seen.loss = result, result.detach()
        seen.uncounted = course.strand.per_row
        return True

    def _unread(self, name: str, result: Any) -> None:
        """Say once that a loss cannot be read: it lies on several machines, for example."""
        parted = isinstance(result, torch.Tensor) and plain(result) is None
        if parted and not isinstance(result, _STAND_INS) and not self._told:
            self._told = True
            text = (
                f"What {name} returned is a {type(result).__name__}, whose numbers pipetrace does "
            )
            text += "not read: its losses and metrics are missing."
            self.emit(Notice(id="loss-type", text=text))

    def call_raised(
        self, name: str, args: tuple[Any, ...], error: BaseException
    ) -> None:  # fmt: skip
        """Remember a loss function that raised: it may be what ends the program."""
        shapes = tuple(tuple(t.shape) for _, t in trees.leaves(args))
        self.failure = (id(error), Failed(name, "", "", shapes, places.here(sys._getframe(1))))

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Keep the loss."""
        # A compiler tries its graph out on stand-ins.
        if not roots or isinstance(roots[0], _STAND_INS):
            return
        self.backwards += 1
        direct, seen = roots[0] is self._direct, self._last
        if direct and seen and seen.uncounted is not None:
            seen.trained, self._node = True, None
            self.course.backwards.expected(seen)
            return
        if self._node is not None:
            if direct and self._last is not None:
                self._last.trained, self._node = True, None
            else:
                self._ask_autograd()
        if self.course.strand is None or self.course.strand.by_hand:
            self._by_hand.backward(None if self._last is None else self.model(self._last.model))
        if len(roots) == 1:
            self.course.backward_called(roots[0], direct)

    def steps(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """Know that an optimizer changes the parameters now, and look at a step that is due."""
        self._stepping = True
        self._by_hand.waiting = False
        self.course.about_to_step(optimizer, closure)

    def measured(self) -> None:
        """Take what a step that was looked at has changed."""
        course = self.course
        course.aim.end(course.phases.steps + 1, course.strand)

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Count a step, and stop the program where that was asked for."""
        self._output = self._direct = None
        self._stepping = self._by_hand.waiting = False
        course = self.course
        bare = not course.expected and course.phases.wants_nest
        course.stepped(optimizer, nest(sys._getframe(2)) if bare else ())
        if self._limit is not None and course.steps >= self._limit:
            raise Stopped

    def model(self, id: int) -> nn.Module | None:
        """Return a root by its id, while it lives."""
        known = next((r for r in self.roots.values() if r.id == id), None)
        return None if known is None else known.plain()

    def emit(self, *facts: Fact) -> None:
        """State facts."""
        for fact in facts:
            self.writer.append(fact)

    def spend(self, part: str, started: float) -> None:
        """Add the time since `started` to what recording costs."""
        self.costs[part] = self.costs.get(part, 0.0) + time.perf_counter() - started

    def spent(self) -> float:
        """Return what recording has cost so far, as far as it is measured."""
        return sum(self.costs.values())

    def next_capture(self) -> int:
        """Return an id for a capture."""
        self.captures += 1
        return self.captures - 1

    def _called_inside(self, seen: Seen, output: Any) -> None:
        """Take the loss that a model computed itself, if it is part of its output."""
        inner, self._inner = self._inner, []
        outputs = [tensor for _, tensor in trees.leaves(output)]
        for call, result in inner:
            if any(tensor is result for tensor in outputs):
                self._direct = result
                self.course.loss_called(seen, call, result, output)
                return
        # A sum is divided once more on its way into the output.
        scalar = next((tensor for tensor in outputs if tensor.dim() == 0), None)
        if len(inner) == 1 and scalar is not None:
            call, result = inner[0]
            self.course.share(call.value, scalar)
            call.value = scalar.detach()
            call.options = call.options | {"reduction": "mean"}
            self.course.loss_called(seen, call, result, output)

    def _ask_autograd(self) -> None:
        """Let the graph tell whether a backward goes through the last forward.

        A hook costs a call into Python in every backward: where the loss function was given the
        model's own output, and backward starts at its result, nobody needs to be asked.
        """
        node, self._node = self._node, None
        if type(node) is torch.Tensor:
            node = node.grad_fn
        if node is not None and self._last is not None:
            node.register_prehook(self._last.reached)

    def _forget(self) -> None:
        if self._on:
            self._on = False
            self.writer.abandon()
            self.watch.end()
            self._unmake()

    def _raised(
        self, root: Root, prepared: Prepared, model: nn.Module, args: Any, kwargs: Any,
        error: Exception,
    ) -> None:  # fmt: skip
        """Find out where a forward raised: that may be what ends the program."""
        if root.id < 0:
            self._state(root, model)
        failed = self._captures.failed(root, prepared, model, args, kwargs, error)
        if failed is not None:
            self.failure = (id(error), failed)

    def _meet(self, model: nn.Module) -> Root | None:
        """Get to know a root; None for modules without parameters (losses, metrics)."""
        key = id(model)
        other = self._others.get(key)
        if other is not None and other() is model:
            return None
        if next(model.parameters(), None) is None:
            self._others[key] = weakref.ref(model)
            return None
        if not self.roots:
            value = torch.initial_seed()
            self._seed = Seed(
                value=None if value == _UNSEEDED else value, threads=torch.get_num_threads()
            )
        self.roots[key] = Root(model, tries=0 if self.lean else 3)
        return self.roots[key]

    def _state(self, root: Root, model: nn.Module) -> None:
        """State what a root is, now that it computes."""
        root.id, self._count = self._count, self._count + 1
        if self._seed is not None:
            self.emit(self._seed)
            self._seed = None
        self.emit(models.inventory(roots.unwrapped(model), root.id))
        if not root.traceable:
            self.emit(untraceable(root.id, model))
