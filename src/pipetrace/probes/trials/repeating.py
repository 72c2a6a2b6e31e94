"""A forward is played in eval mode from two random states, and its outputs are compared."""

from __future__ import annotations

import contextlib
import math
import random
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from pipetrace.capture import guard, replay, trees
from pipetrace.capture.comparing import difference, equal
from pipetrace.capture.contrast import contrast
from pipetrace.capture.guard import Streams
from pipetrace.capture.models import kind
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Op
from pipetrace.tried import Asleep, Inert, Repeats, Stranger, Turned

_ONE, _OTHER = 20_261_001, 20_261_002
_FIRST = 8
_MANY = 100
_SPREAD = 64
"""So many numbers of a row are compared with those of other rows."""


def repeats(subject: Subject) -> Iterator[Repeats]:
    """Play a forward twice from other states of all random streams, every module in eval mode.

    Where nothing is drawn in eval mode, there is nothing to say.
    """
    call, odd = subject.call, bool(subject.kind.odd)
    one, streams = _played(call, _ONE)
    drawing = None
    if odd and not subject.kind.training:
        told = replay.other_mode(call, subject.outcome, subject.capture.id, training=False)
        drawing = told[0].drawing if told else ()
    if not streams and not drawing:
        return
    other, _ = _played(call, _OTHER)
    same = equal(one, other)
    turned: list[Turned] = []
    left_out: list[str] = []
    if not same and (set(streams) - {"torch"} or any(map(_is_coin, subject.ops))):
        turned, left_out = _where(subject)
    rows, distinct = _rows(trees.first((call.args, call.kwargs)))
    yield Repeats(
        capture=subject.capture.id, equal=same, streams=streams, drawing=drawing,
        largest=None if same else difference(one, other),
        steady=same or equal(one, _played(call, _ONE)[0]),
        turned=tuple(turned[:_FIRST]), left_out=tuple(left_out[:_FIRST]),
        rows=rows, distinct=distinct,
    )  # fmt: skip


def asleep(subject: Subject) -> Iterator[Asleep]:
    """Play a training forward that was not in train mode in train mode, and name what drops."""
    kind = subject.kind
    if not kind.trained or (kind.training and not kind.odd):
        return
    played = replay.replay(
        subject.call, id=subject.capture.id, model_id=subject.capture.model, purpose="trace",
        compare=False, modes=True,
    )  # fmt: skip
    before = {(op.module, op.call, op.function) for op in subject.ops if op.mask or op.mask_missing}
    found = [
        Inert(function=op.function, p=op.mask.p, module=op.module, called=op.called)
        for op in played.facts
        if isinstance(op, Op) and op.mask is not None and op.mask.p > 0
        and (op.module, op.call, op.function) not in before
    ]  # fmt: skip
    yield Asleep(capture=subject.capture.id, idle=tuple(found[:_MANY]))


def strangers(subject: Subject) -> Iterator[Stranger]:
    """State which modules a forward called without having registered them."""
    known = {id(inside.module) for inside in subject.call.snapshot.insides}
    for path, module in subject.outcome.tracer.strangers.items():
        yield Stranger(
            capture=subject.capture.id, path=path, type=kind(module), training=module.training,
            anew=id(module) not in known,
        )  # fmt: skip


def _played(call: replay.Call, seed: int) -> tuple[Any, tuple[str, ...]]:
    """Play a forward in eval mode from a state; return the output, and the streams that moved."""
    with _from(call, seed) as moved:
        output = replay.made(call, False)
        streams = moved()
    return output, streams


@contextlib.contextmanager
def _from(call: replay.Call, seed: int) -> Iterator[Any]:
    with replay.playing(call, False):
        _seed(seed)
        before = Streams.take()

        def moved() -> tuple[str, ...]:
            now = Streams.take()
            parts = {
                "torch": now._replace(numpy=before.numpy, python=before.python),
                "numpy": before._replace(numpy=now.numpy),
                "python": before._replace(python=now.python),
            }
            return tuple(name for name, part in parts.items() if not before.same(part))

        yield moved


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    _seed(seed)
    yield


def _seed(number: int) -> None:
    """Seed every stream that a forward may draw from unasked."""
    guard.seed(number)
    random.seed(number)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(number)


def _is_coin(op: Op) -> bool:
    """Tell whether an op draws one number, by which a program may choose its way."""
    return op.random and bool(op.outputs) and math.prod(op.outputs[0].shape) == 1


def _where(subject: Subject) -> tuple[list[Turned], list[str]]:
    """Play a forward from both states under the tracer, and find where they part."""
    played = [
        replay.replay(subject.call, id=subject.capture.id, model_id=subject.capture.model,
                      purpose="trace", compare=False, modes=False,
                      around=partial(_seeded, seed))
        for seed in (_ONE, _OTHER)
    ]  # fmt: skip
    one, other = ({op.module: None for op in each.facts if isinstance(op, Op)} for each in played)
    ops = [fact for fact in played[0].facts if isinstance(fact, Op)]
    found = contrast(played[0].tracer, played[1].tracer, subject.capture.id, training=False)
    turned = [
        Turned(function=op.function, module=op.module, called=op.called,
               zeros=op.outputs[0].zeros if op.outputs else None)
        for op in (ops[source.op] for source in found.sources)
    ]  # fmt: skip
    return turned, sorted(one.keys() ^ other.keys())


def _rows(tensor: torch.Tensor | None) -> tuple[int, int]:
    """Return how many rows an input has, and how many of them are the first of their kind."""
    if tensor is None or tensor.dim() < 2 or tensor.layout is not torch.strided:
        return 0, 0
    flat = tensor.detach().reshape(len(tensor), -1)
    flat = flat[:, :: max(1, flat.shape[1] // _SPREAD)]
    return len(flat), len(set(map(tuple, flat.tolist())))
