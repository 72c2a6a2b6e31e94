"""Calls of a model are of one kind where line, modes and autograd are alike; one is captured."""

from __future__ import annotations

import math
import sys
import time
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import nn
from torch.fx import GraphModule
from torch.jit._trace import TopLevelTracedModule

from pipetrace.capture import replay, trees
from pipetrace.capture.guard import device_states, identical
from pipetrace.capture.handlers import pass_on
from pipetrace.observed import Calls
from pipetrace.observing import allowance, sites
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Capture, Contrast, Fact, Notice
from pipetrace.training.captures import Root
from pipetrace.training.recorder import Recorder

_ODD = 200
_LISTED = 1000
_STATES = 100_000
"""States of the streams that are remembered, the first."""
_KINDS = 32
"""Kinds of calls of one model that are told apart."""
_CAPTURES = 8
"""Forwards of one model that are played again, one of each kind."""
_FIXED = GraphModule, TopLevelTracedModule
_SPREAD = 64
"""So many numbers of an input are compared with those of the input before."""
_SMALL = 65_536
"""Buffers of so many elements are compared by value."""
Buffer = tuple[torch.Tensor, int, torch.Tensor | None]


class Captured(NamedTuple):
    """A forward that was captured, with all that is needed to play it again in other ways."""

    call: replay.Call
    outcome: replay.Outcome
    kind: int
    contrast: list[Contrast]
    """With the same batch in the other mode, told to every module."""


class Kind:
    """Calls that are alike, while they are counted."""

    def __init__(self, id: int, made: Made, modes: tuple[bool, ...], paths: list[str]) -> None:
        self.id, self.root = id, made.root
        self.place = None if made.spot is None else made.spot.place()
        self.graph, self.training = made.graph, made.model.training
        self.odd = [path for path, mode in zip(paths, modes, strict=True) if mode != modes[0]]
        self.turns: list[Turn] = []
        self.which: list[int] = []
        self.rows: list[int] = []
        self.drew = self.seeded = self.ended = self.repeated = self.again = self.losses = 0
        self.ends: set[int] = set()
        self.fed: list[Turn] = []
        self.seen: tuple[int, set[Hashable]] = 0, set()
        self.discarded = sites.discards(made.spot, sys._getframe(1))
        self.fixed = [
            path for path, module in zip(paths, made.model.modules(), strict=False)
            if isinstance(module, _FIXED)
        ]  # fmt: skip
        self.moved: dict[str, None] = {}
        self.capture: int | None = None
        self.elsewhere = False
        """Whether it draws from a stream that is not torch's."""

    @property
    def last(self) -> int:
        """So many calls there had been at the last backward that went through one of them."""
        return max((turn.backward for turn in self.turns), default=0)

    def given(self, sight: Hashable, step: int) -> None:
        """Hear what the newest one was given."""
        if self.seen[0] != step:
            self.seen = step, set()
        if sight is not None:
            self.again += sight in self.seen[1]
            self.seen[1].add(sight)

    def told(self, last: int, learned: bool) -> Calls:
        """Return what is known of them.

        Args:
            last: So many calls there had been at the last backward through the model.
            learned: Whether an optimizer that stepped has parameters of the model.
        """
        after = sum(turn.call > last and not turn.trained for turn in self.turns)
        return Calls(
            id=self.id, model=self.root.id, place=self.place, graph=self.graph,
            training=self.training, odd=tuple(self.odd[:_ODD]), odd_count=len(self.odd),
            count=len(self.turns), trained=sum(turn.trained for turn in self.turns),
            steps=tuple(turn.step for turn in self.turns[:_LISTED]),
            turns=tuple(self.which), rows=tuple(self.rows), drew=self.drew,
            seeded=self.seeded, ended=self.ended,
            repeated=self.repeated, again=self.again, after=after,
            losses=self.losses, fed=len(self.fed), taught=sum(turn.trained for turn in self.fed),
            discarded=self.discarded, learned=learned, fixed=tuple(self.fixed),
            moved=tuple(self.moved), capture=self.capture,
        )  # fmt: skip


class _Before(NamedTuple):
    """What was found right before a call."""

    kind: Kind
    stream: int
    buffers: dict[str, Buffer]
    call: replay.Call | replay.Later | None


class Calling(Witness):
    """The witness of calls.

    Args:
        recorder: Records the same program.
        frugal: Whether few forwards, and no slow ones, are played again.

    Attributes:
        captured: The forwards that were captured, in order. They keep their models alive.
        playing: Seconds of this thread in which forwards were played again.
    """

    def __init__(self, recorder: Recorder, *, frugal: bool = False) -> None:
        self.captured: list[Captured] = []
        self._recorder, self._frugal = recorder, frugal
        self._most = allowance.CAPTURES if frugal else _CAPTURES
        self._seconds: weakref.WeakKeyDictionary[Root, float] = weakref.WeakKeyDictionary()
        """What the newest call of each root took."""
        self._called = 0.0
        self.playing = 0.0
        self._kinds: dict[Hashable, Kind] = {}
        self._of: dict[int, int] = {}
        """How many kinds each root has, by the id of its object."""
        self._counts: weakref.WeakKeyDictionary[Root, int] = weakref.WeakKeyDictionary()
        self._captures: weakref.WeakKeyDictionary[Root, int] = weakref.WeakKeyDictionary()
        self._inputs: weakref.WeakKeyDictionary[Root, Hashable] = weakref.WeakKeyDictionary()
        self._begun: set[int] = set()
        self._before: _Before | None = None
        self._latest: Kind | None = None
        """Of the newest call, until a loss function was called."""
        self._made: dict[int, tuple[weakref.ref[torch.Tensor], Kind]] = {}
        """The newest output of each root, by the id of its object."""
        self._owned: weakref.WeakKeyDictionary[Root, set[int]] = weakref.WeakKeyDictionary()
        self._stepped: set[int] = set()
        """Parameters of optimizers that stepped, by the ids of their objects."""

    def about(self, made: Made) -> None:
        """Look at the modes, the random streams and the buffers before a call."""
        named = list(made.model.named_modules())
        modes = tuple([module.training for _, module in named])
        line = None if made.spot is None else (id(made.spot.code), made.spot.line)
        key = id(made.root), made.graph, modes, line
        kind = self._kinds.get(key)
        if kind is None:
            known = self._of.get(id(made.root), 0)
            if known >= _KINDS:
                self._before = None
                return
            self._of[id(made.root)] = known + 1
            kind = Kind(len(self._kinds), made, modes, [path for path, _ in named])
            self._kinds[key] = kind
        made.turn.kind = kind.id
        self._fed(made)
        started = time.thread_time()
        call = self._prepared(made) if self._wanted(kind) else None
        self.playing += time.thread_time() - started
        self._before = _Before(kind, _stream(), _buffers(made.model), call)
        self._called = time.perf_counter()

    def called(self, made: Made, output: Any) -> None:
        """Count a call, and capture it where it is the first of its kind."""
        before, self._before = self._before, None
        if before is None:
            return
        kind, root = before.kind, made.root
        self._seconds[root] = time.perf_counter() - self._called
        count = self._counts.get(root, 0)
        self._counts[root] = count + 1
        kind.turns.append(made.turn)
        if len(kind.rows) < _LISTED:
            kind.which.append(count)
            kind.rows.append(trees.rows((made.args, made.kwargs)) or 0)
        stream = _stream()
        moved = before.stream != stream
        kind.ended += stream in kind.ends
        if len(kind.ends) < _STATES:
            kind.ends.add(stream)
        kind.moved.update(dict.fromkeys(_moved(before.buffers, made.model)))
        call = before.call.take() if isinstance(before.call, replay.Later) else before.call
        if call is not None:
            started = time.thread_time()
            self._capture(kind, call, made, output, moved)
            self.playing += time.thread_time() - started
        kind.drew += moved or kind.elsewhere
        if moved:
            kind.seeded += before.stream in self._begun
            if len(self._begun) < _STATES:
                self._begun.add(before.stream)
        sight = _sight(trees.first((made.args, made.kwargs)))
        kind.repeated += sight is not None and self._inputs.get(root) == sight
        self._inputs[root] = sight
        kind.given(sight, made.step)
        self._latest = kind
        first = trees.first(output)
        if first is not None:
            self._made[id(root)] = weakref.ref(first), kind

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Count a loss for the call before it."""
        if self._latest is not None:
            self._latest.losses += 1
            self._latest = None

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep which parameters an optimizer has."""
        self._stepped.update(id(p) for group in optimizer.param_groups for p in group["params"])

    def renew(self) -> None:
        """Forget the inputs so far: that they come again now says nothing of the program."""
        self._inputs.clear()
        for kind in self._kinds.values():
            kind.seen = 0, set()

    def facts(self) -> Iterator[Fact]:
        """State every kind of call, and what was captured."""
        kinds = {kind.id: kind for kind in self._kinds.values() if kind.turns}
        last: dict[Root, int] = {}
        for kind in kinds.values():
            last[kind.root] = max(last.get(kind.root, 0), kind.last)
        newest = max(last.values(), default=0)
        for kind in kinds.values():
            learned = not self._stepped.isdisjoint(self._owned.get(kind.root, ()))
            yield kind.told(last[kind.root] or newest, learned)
        for captured in self.captured:
            for fact in captured.outcome.facts:
                model = kinds[captured.kind].root.id
                if isinstance(fact, Capture):
                    fact = replace(fact, model=model, apart=not self._recorder.lean)
                yield fact
            yield from captured.contrast

    def _fed(self, made: Made) -> None:
        """Note whose output a root is given, and which parameters it has."""
        if made.root not in self._owned:
            self._owned[made.root] = set(map(id, made.model.parameters()))
        given = trees.first((made.args, made.kwargs))
        for root, (output, kind) in self._made.items():
            tensor = output()
            if root != id(made.root) and tensor is not None and _same_place(tensor, given):
                kind.fed.append(made.turn)

    def _wanted(self, kind: Kind) -> bool:
        if kind.capture is not None or not kind.root.traceable:
            return False
        known = self._captures.get(kind.root, 0)
        if self._frugal:
            slow = self._seconds.get(kind.root, math.inf) > allowance.FORWARD
            if slow or (not known and len(self._captures) >= allowance.MODELS):
                return False
        return known < self._most

    def _prepared(self, made: Made) -> replay.Call | replay.Later | None:
        with torch.set_grad_enabled(made.graph):
            try:
                return replay.ahead(made.root.ref() or made.model, made.args, made.kwargs)
            except Exception as error:
                self._missing(made, error)
                return None

    def _capture(
        self, kind: Kind, call: replay.Call, made: Made, output: Any, moved: bool
    ) -> None:  # fmt: skip
        self._captures[kind.root] = self._captures.get(kind.root, 0) + 1
        kind.capture = self._recorder.next_capture()
        purpose = "training" if made.graph and kind.training else "evaluation"
        try:
            # The root gets its id after its first call.
            outcome = replay.replay(
                call, id=kind.capture, model_id=-1, purpose=purpose, original=output,
                values=self._recorder.values, step=made.step,
            )  # fmt: skip
            # Python's and NumPy's streams are dear to read: of a kind one call tells for all.
            kind.elsewhere = outcome.random and not moved
            # Now, at the weights that were captured: trials come when the program has ended.
            contrast = replay.other_mode(call, outcome, kind.capture)
            self.captured.append(Captured(call, outcome, kind.id, contrast))
        except Exception as error:
            self._missing(made, error)

    def _missing(self, made: Made, error: Exception) -> None:
        pass_on(error)
        kind, self._captures[made.root] = type(error).__name__, _CAPTURES
        text = f"A forward could not be played again for the checks: {kind}: {str(error)[:200]}"
        self._recorder.emit(Notice(id="observer-capture", text=text))


def _buffers(model: nn.Module) -> dict[str, Buffer]:
    """Return a model's buffers, how often they were written to, and the values of small ones.

    Batch normalisation writes into its running statistics without counting it.
    """
    return {
        name: (
            tensor,
            0 if tensor.is_inference() else tensor._version,
            tensor.clone() if tensor.numel() <= _SMALL else None,
        )
        for name, tensor in model.named_buffers()
    }


def _moved(before: dict[str, Buffer], model: nn.Module) -> Iterator[str]:
    """Yield the names of buffers that are not what they were."""
    for name, tensor in model.named_buffers():
        known, version, values = before.get(name, (None, 0, None))
        counted = known is not tensor or (not tensor.is_inference() and tensor._version != version)
        if counted or (values is not None and not identical(values, tensor)):
            yield name


def _stream() -> int:
    """Return a digest of the states of torch's random streams."""
    states = [torch.get_rng_state(), *(s for each in device_states().values() for s in each)]
    return hash(tuple([bytes(state.numpy()) for state in states]))


def _same_place(one: torch.Tensor, other: torch.Tensor | None) -> bool:
    """Tell whether two tensors have the same numbers in memory."""
    if other is None or one.layout is not torch.strided or other.layout is not torch.strided:
        return False
    return one is other or 0 != one.data_ptr() == other.data_ptr()


def _sight(tensor: torch.Tensor | None) -> Hashable:
    """Return what tells an input from another: its shape, and numbers spread over it."""
    if tensor is None or tensor.layout is not torch.strided or not tensor.numel():
        return None
    tensor = tensor.int_repr() if tensor.is_quantized else tensor
    flat = tensor.detach().reshape(-1)
    return tuple(tensor.shape), tuple(flat[:: max(1, flat.numel() // _SPREAD)].tolist())
