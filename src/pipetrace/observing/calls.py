"""Calls of a model are of one kind where line, modes and autograd are alike; one is captured."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import nn

from pipetrace.capture import replay, trees
from pipetrace.capture.guard import Streams
from pipetrace.capture.handlers import pass_on
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.records import Calls, Capture, Contrast, Fact, Notice
from pipetrace.training.captures import Root
from pipetrace.training.recorder import Recorder

_ODD = 200
_LISTED = 1000
_KINDS = 32
"""Kinds of calls of one model that are told apart."""
_CAPTURES = 8
"""Forwards of one model that are played again, one of each kind."""
_SPREAD = 64
"""So many numbers of an input are compared with those of the input before."""


class Captured(NamedTuple):
    """A forward that was captured, with all that is needed to play it again in other ways."""

    call: replay.Call
    outcome: replay.Outcome
    capture: int
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
        self.drew = self.seeded = self.ended = self.repeated = 0
        self.ends: set[int] = set()
        self.moved: dict[str, None] = {}
        self.capture: int | None = None

    def told(self) -> Calls:
        """Return what is known of them."""
        return Calls(
            id=self.id, model=self.root.id, place=self.place, graph=self.graph,
            training=self.training, odd=tuple(self.odd[:_ODD]), odd_count=len(self.odd),
            count=len(self.turns), trained=sum(turn.trained for turn in self.turns),
            steps=tuple(turn.step for turn in self.turns[:_LISTED]),
            turns=tuple(self.which[:_LISTED]), rows=tuple(self.rows[:_LISTED]), drew=self.drew,
            seeded=self.seeded, ended=self.ended, repeated=self.repeated,
            moved=tuple(self.moved), capture=self.capture,
        )  # fmt: skip


class _Before(NamedTuple):
    """What was found right before a call."""

    kind: Kind
    streams: Streams
    buffers: dict[str, Hashable]
    call: replay.Call | None


class Calling(Witness):
    """The witness of calls.

    Attributes:
        captured: The forwards that were captured, in order. They keep their models alive.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.captured: list[Captured] = []
        self._recorder = recorder
        self._kinds: dict[Hashable, Kind] = {}
        self._of: dict[int, int] = {}
        """How many kinds each root has, by the id of its object."""
        self._counts: weakref.WeakKeyDictionary[Root, int] = weakref.WeakKeyDictionary()
        self._captures: weakref.WeakKeyDictionary[Root, int] = weakref.WeakKeyDictionary()
        self._inputs: weakref.WeakKeyDictionary[Root, Hashable] = weakref.WeakKeyDictionary()
        self._begun: set[int] = set()
        self._before: _Before | None = None

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
        call = self._prepared(made) if self._wanted(kind) else None
        self._before = _Before(kind, Streams.take(), _versions(made.model), call)

    def called(self, made: Made, output: Any) -> None:
        """Count a call, and capture it where it is the first of its kind."""
        before, self._before = self._before, None
        if before is None:
            return
        kind, root = before.kind, made.root
        count = self._counts.get(root, 0)
        self._counts[root] = count + 1
        kind.turns.append(made.turn)
        kind.which.append(count)
        kind.rows.append(trees.rows((made.args, made.kwargs)) or 0)
        streams = Streams.take()
        ended = _digest(streams)
        kind.ended += ended in kind.ends
        kind.ends.add(ended)
        if not before.streams.same(streams):
            kind.drew += 1
            begun = _digest(before.streams)
            kind.seeded += begun in self._begun
            self._begun.add(begun)
        now = _versions(made.model)
        kind.moved.update(dict.fromkeys(n for n, v in now.items() if before.buffers.get(n) != v))
        sight = _sight(trees.first((made.args, made.kwargs)))
        kind.repeated += sight is not None and self._inputs.get(root) == sight
        self._inputs[root] = sight
        if before.call is not None:
            self._capture(kind, before.call, made, output)

    def facts(self) -> Iterator[Fact]:
        """State every kind of call, and what was captured."""
        kinds = {kind.id: kind for kind in self._kinds.values() if kind.turns}
        for kind in kinds.values():
            yield kind.told()
        for captured in self.captured:
            for fact in captured.outcome.facts:
                model = kinds[captured.kind].root.id
                yield replace(fact, model=model) if isinstance(fact, Capture) else fact
            yield from captured.contrast

    def _wanted(self, kind: Kind) -> bool:
        room = self._captures.get(kind.root, 0) < _CAPTURES
        return kind.capture is None and room and kind.root.traceable

    def _prepared(self, made: Made) -> replay.Call | None:
        with torch.set_grad_enabled(made.graph):
            try:
                return replay.prepare(made.model, made.args, made.kwargs)
            except Exception as error:
                self._missing(made, error)
                return None

    def _capture(self, kind: Kind, call: replay.Call, made: Made, output: Any) -> None:
        self._captures[kind.root] = self._captures.get(kind.root, 0) + 1
        kind.capture = self._recorder.next_capture()
        purpose = "training" if made.graph and kind.training else "evaluation"
        try:
            # The root gets its id after its first call.
            outcome = replay.replay(
                call, id=kind.capture, model_id=-1, purpose=purpose, original=output,
                values=self._recorder.values, step=made.step,
            )  # fmt: skip
            # Now, at the weights that were captured: trials come when the program has ended.
            contrast = replay.other_mode(call, outcome, kind.capture)
            self.captured.append(Captured(call, outcome, kind.capture, kind.id, contrast))
        except Exception as error:
            self._missing(made, error)

    def _missing(self, made: Made, error: Exception) -> None:
        pass_on(error)
        kind, self._captures[made.root] = type(error).__name__, _CAPTURES
        text = f"A forward could not be played again for the checks: {kind}: {str(error)[:200]}"
        self._recorder.emit(Notice(id="observer-capture", text=text))


def _versions(model: nn.Module) -> dict[str, Hashable]:
    """Return which tensors a model's buffers are and how often they were written to."""
    return {
        name: (id(tensor), 0 if tensor.is_inference() else tensor._version)
        for name, tensor in model.named_buffers()
    }


def _digest(streams: Streams) -> int:
    """Return what tells a state of torch's streams from others."""
    devices = tuple(bytes(s.numpy()) for states in streams.devices.values() for s in states)
    return hash((bytes(streams.cpu.numpy()), devices))


def _sight(tensor: torch.Tensor | None) -> Hashable:
    """Return what tells an input from another: its shape, and numbers spread over it."""
    if tensor is None or tensor.layout is not torch.strided or not tensor.numel():
        return None
    flat = tensor.detach().reshape(-1)
    return tuple(tensor.shape), tuple(flat[:: max(1, flat.numel() // _SPREAD)].tolist())
