"""What rules read: the facts of a run, found by what they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from pipetrace.observed import Calls, Stepped, Wired
from pipetrace.parts import Place
from pipetrace.records import Capture, Contrast, Fact, Model, ModulePart, Op, Training
from pipetrace.tracefile import Recording
from pipetrace.tried import Repeats

F = TypeVar("F", bound=Fact)


class Traced:
    """A captured forward: its ops, and which op feeds which.

    Attributes:
        capture: The record of it.
        ops: Its ops, in order.
        calls: The calls that are like it; None where the loop was not observed.
        contrast: The comparison with the same batch in the other mode, where one was made.
        repeats: Two forwards in eval mode from other random numbers, where it drew some.
        root: The class of the model.
    """

    def __init__(
        self, capture: Capture, ops: list[Op], calls: Calls | None, contrast: Contrast | None,
        repeats: Repeats | None, root: str = "the model",
    ) -> None:  # fmt: skip
        self.capture, self.ops, self.calls, self.contrast = capture, ops, calls, contrast
        self.repeats, self.root = repeats, root

    def name(self, path: str) -> str:
        """Name a module: by its path, the model itself by its class."""
        return f"`{path or self.root}`"

    @cached_property
    def users(self) -> dict[int, list[Op]]:
        """The ops that take an op's output, by its index."""
        found: dict[int, list[Op]] = defaultdict(list)
        for op in self.ops:
            for link in {link.index for link in op.inputs if link.index is not None}:
                found[link].append(op)
        return found

    def before(self, op: Op, views: bool = False) -> list[Op]:
        """Return the ops whose outputs an op takes; views are looked through if asked."""
        found = []
        for link in op.inputs:
            if link.index is not None and link.index < len(self.ops):
                source = self.ops[link.index]
                found += self.before(source, True) if views and source.view else [source]
        return found

    def using(self, parameters: set[str]) -> list[Op]:
        """Return the ops that take one of these parameters, named by their paths."""
        return [
            op for op in self.ops
            if any(link.source == "parameter" and link.name in parameters for link in op.inputs)
        ]  # fmt: skip

    def after(self, ops: list[Op]) -> list[Op]:
        """Return these ops, and all that take what they made, however far on, in order."""
        reached = {op.index for op in ops}
        for op in self.ops:
            if any(link.index in reached for link in op.inputs if link.index is not None):
                reached.add(op.index)
        return [op for op in self.ops if op.index in reached]

    def alike(self, index: int, function: str, module: str) -> Op | None:
        """Return the op that is meant by one of another pass of this forward, or one like it."""
        found = [op for op in self.ops if (op.function, op.module) == (function, module)]
        same = [op for op in found if op.index == index]
        return next(iter(same + found), None)

    def drawing(self) -> list[Op]:
        """Return the ops that draw random numbers when every module is told `eval()`."""
        if not self.capture.training and not (self.calls and self.calls.odd):
            return [op for op in self.ops if op.random]
        drawing = () if self.contrast is None else self.contrast.drawing
        if self.repeats is not None and self.repeats.drawing is not None:
            drawing = self.repeats.drawing
        elif not self.capture.training:
            return []
        return [self.ops[index] for index in drawing if index < len(self.ops)]


def argument(op: Op, *names: str) -> str | None:
    """Return one argument of an op in words: the first of these names that it was called with."""
    told = {each.name: each.value for each in op.arguments}
    return next((told[name] for name in names if name in told), None)


def number(op: Op, *names: str) -> float | None:
    """Return one argument of an op as a number, where it is one."""
    try:
        return float(argument(op, *names) or "")
    except ValueError:
        return None


def reached(path: str) -> str:
    """Return how a module is written in its model's own code."""
    plain = path and all(part.isidentifier() for part in path.split("."))
    return f"self.{path}" if plain else f'self.get_submodule("{path}")'


class Evidence:
    """All that is known of one run."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def all(self, kind: type[F]) -> list[F]:
        """Return every fact of a kind."""
        return self.recording.all(kind)

    @cached_property
    def calls(self) -> list[Calls]:
        """What was observed of calls, one record for each kind."""
        return self.all(Calls)

    @cached_property
    def trained(self) -> list[Calls]:
        """Kinds of calls that a backward went through."""
        return [calls for calls in self.calls if calls.trained]

    @cached_property
    def evaluated(self) -> list[Calls]:
        """Kinds of calls that no backward went through, of models that were called by the loop."""
        return [calls for calls in self.calls if not calls.trained]

    @cached_property
    def forwards(self) -> list[Traced]:
        """The captured forwards that did not raise."""
        ops: dict[int, list[Op]] = defaultdict(list)
        for op in self.all(Op):
            ops[op.capture].append(op)
        kinds = {calls.capture: calls for calls in self.calls if calls.capture is not None}
        contrasts = {contrast.capture: contrast for contrast in self.all(Contrast)}
        repeats = {each.capture: each for each in self.all(Repeats)}
        return [
            Traced(
                each,
                ops[each.id],
                kinds.get(each.id),
                contrasts.get(each.id),
                repeats.get(each.id),
                self.name(each.model).strip("`"),
            )
            for each in self.all(Capture)
            if each.complete and each.purpose in ("training", "evaluation", "trace")
        ]

    @cached_property
    def training(self) -> list[Traced]:
        """Captured forwards that were trained on; where none is known of, those in train mode."""
        told = [
            each for each in self.forwards
            if (each.calls.trained if each.calls else each.capture.purpose == "training")
        ]  # fmt: skip
        return told or [each for each in self.forwards if each.capture.training]

    def forward(self, calls: Calls) -> Traced | None:
        """Return the captured forward of a kind of calls."""
        return next((each for each in self.forwards if each.calls is calls), None)

    @cached_property
    def models(self) -> dict[int, Model]:
        """The root modules by id."""
        return {model.id: model for model in self.all(Model)}

    def line(self, forward: Traced, op: Op) -> Place | None:
        """Return the line that decides about an op: its own, or the one that made its module.

        The latter where no code of the program's own lies between the call of the model and the
        op: the line that calls the model says nothing of it.
        """
        part = self.part(forward.capture.model, op.module)
        outside = forward.calls is not None and op.called == forward.calls.place
        return part.made if outside and part is not None and part.made else op.called

    def name(self, model: int, path: str = "") -> str:
        """Name a module: by its path, the model itself by its class."""
        known = self.models.get(model)
        return f"`{path}`" if path else "the model" if known is None else f"`{known.type}`"

    def part(self, model: int, path: str) -> ModulePart | None:
        """Return a submodule by its path."""
        parts: Sequence[ModulePart] = self.models[model].modules if model in self.models else ()
        return next((part for part in parts if part.path == path), None)

    @cached_property
    def wired(self) -> dict[int, list[Wired]]:
        """The parameters of every model that was called, by the model's id."""
        found: dict[int, list[Wired]] = defaultdict(list)
        for weight in self.all(Wired):
            found[weight.model].append(weight)
        return found

    @cached_property
    def optimizers(self) -> dict[int, Stepped]:
        """The optimizers by id, those too that never stepped."""
        return {each.id: each for each in self.all(Stepped)}

    def steps(self, weight: Wired) -> bool:
        """Tell whether an optimizer that owns a parameter has stepped."""
        return any(
            self.optimizers[each].steps for each in weight.optimizers if each in self.optimizers
        )

    def trains(self) -> bool:
        """Tell whether the program trained anything."""
        return bool(self.trained) or bool(self.all(Training))

    def draws(self) -> Iterator[tuple[Traced, Op]]:
        """Yield every op of every captured forward that drew random numbers."""
        for forward in self.forwards:
            yield from ((forward, op) for op in forward.ops if op.random)
