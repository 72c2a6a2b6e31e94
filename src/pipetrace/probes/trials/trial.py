"""A trial plays a captured forward in another way, and states what came of it as facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from pipetrace.capture import replay
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.tracer import Tracer
from pipetrace.observed import Calls
from pipetrace.observing.calls import Captured
from pipetrace.records import Capture, Fact, Notice, Op


class Subject(NamedTuple):
    """A captured forward, and what was observed of its kind.

    Attributes:
        call: The forward: `replay.play` and `replay.replay` play it from where it began. The
            model has its last weights by now.
        outcome: What its first replay gave, right after the program's own call.
        capture: The record of it.
        ops: Its ops, in order.
        kind: The calls that are like it.
    """

    call: replay.Call
    outcome: replay.Outcome
    capture: Capture
    ops: list[Op]
    kind: Calls

    def own(self, tracer: Tracer, index: int) -> int:
        """Return which op of the capture one of another replay is; -1 where it has none like it.

        In another mode there are other ops: batch norm counts its batches in train mode only.
        """
        played = tracer.heard[index]
        kind = played.plan.name, played.entry.path
        turn = sum((op.plan.name, op.entry.path) == kind for op in tracer.heard[:index])
        alike = [op.index for op in self.ops if (op.function, op.module) == kind]
        return alike[turn] if turn < len(alike) else -1

    @property
    def model(self) -> nn.Module:
        """The user's own module."""
        return self.call.model


Trial = Callable[[Subject], Iterable[Fact]]


def subjects(captured: Sequence[Captured], kinds: Iterable[Calls]) -> list[Subject]:
    """Return what trials may be made on: every captured forward that did not raise."""
    known = {kind.id: kind for kind in kinds}
    found = []
    for each in captured:
        facts = each.outcome.facts
        ops = [fact for fact in facts if isinstance(fact, Op)]
        capture = next(fact for fact in facts if isinstance(fact, Capture))
        if each.outcome.raised is None and each.kind in known:
            found.append(Subject(each.call, each.outcome, capture, ops, known[each.kind]))
    return found


def carried_out(
    trials: Sequence[Trial], found: Sequence[Subject], seconds: float
) -> Iterator[Fact]:  # fmt: skip
    """Make every trial on every forward; one that fails is said, and spares the others.

    Args:
        trials: In the order in which they are made.
        found: The forwards.
        seconds: Once they have passed no other trial is begun, which is said too.
    """
    started = time.perf_counter()
    for trial in trials:
        for subject in found:
            if time.perf_counter() - started > seconds:
                text = f"Of {len(trials)} kinds of trials those from `{trial.__name__}` on were " \
                       f"not all made: they took longer than {seconds:.0f} seconds."  # fmt: skip
                yield Notice(id="trials", text=text)
                return
            try:
                with torch.no_grad():
                    yield from list(trial(subject))
            except Exception as error:
                pass_on(error)
                name = trial.__name__
                text = f"The trial `{name}` failed: {type(error).__name__}: {str(error)[:200]}"
                yield Notice(id=f"trial-{name}-{subject.capture.id}", text=text)
