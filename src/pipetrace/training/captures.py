"""A few forwards are played once more, op by op: which ones, and what is stated of them."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipetrace.capture import replay, roots
from pipetrace.capture.alone import CollectiveError
from pipetrace.capture.failures import Failed
from pipetrace.capture.handlers import pass_on
from pipetrace.records import Notice
from pipetrace.training.small import weights, whole_rows
from pipetrace.training.tallies import Seen

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder

Prepared = replay.Call | replay.Later | None
"""What a replay of a call needs."""


class Root:
    """A module that the program calls from outside of any other."""

    id = -1
    """Given once it has computed something: a model that is only declared is no fact."""

    def __init__(self, model: nn.Module, tries: int) -> None:
        self.ref = weakref.ref(model)
        self.plain = weakref.ref(roots.unwrapped(model))
        """The user's own module, where the root is a wrapper around it."""
        self.tries = {"training": tries, "evaluation": tries, "failure": tries}
        self.traceable = not roots.opaque(roots.unwrapped(model))


class Captures:
    """Plays forwards again for a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def prepare(
        self, root: Root, model: nn.Module, purpose: str, args: Any, kwargs: Any
    ) -> Prepared:  # fmt: skip
        """Keep what a replay of the call that is about to be made needs; None to let it go."""
        if (
            purpose == "evaluation"
            and not self._recorder.course.steps
            and root.tries["training"] > 0
        ):
            return None
        started = time.perf_counter()
        try:
            return replay.ahead(model, args, kwargs)
        except Exception as error:
            pass_on(error)
            root.tries[purpose] = 0
            self._recorder.emit(_not_captured(root.id, purpose, error))
            return None
        finally:
            self._recorder.spend("captures", started)

    def take(
        self, root: Root, purpose: str, prepared: replay.Call, output: Any, seen: Seen
    ) -> None:  # fmt: skip
        """Play the call that has been made under the tracer, and state what was heard."""
        started = time.perf_counter()
        root.tries[purpose] = 0
        capture = self._recorder.next_capture()
        try:
            with self._recorder.watch.quiet():
                outcome = replay.replay(
                    prepared, id=capture, model_id=root.id, purpose=purpose, original=output,
                    **self._now(),
                )  # fmt: skip
            if outcome.raised is not None and issubclass(outcome.raised.type, CollectiveError):
                raise CollectiveError(outcome.raised.message)
            self._recorder.emit(*outcome.facts)
            self._recorder.writer.flush()
            self._keep(prepared, outcome)
            if purpose == "training":
                self._recorder.course.probing.captured(prepared, seen, outcome)
                self._compare_modes(root, prepared, outcome, capture)
                if self._recorder.values:
                    held = weights(prepared.model, root.id, outcome.facts)
                    self._recorder.emit(*held, *(whole_rows(prepared, outcome) if held else ()))
        except Exception as error:
            pass_on(error)
            self._recorder.emit(_not_captured(root.id, purpose, error))
        self._recorder.spend("captures", started)

    def _keep(self, prepared: replay.Call, outcome: replay.Outcome) -> None:
        """Keep the sample's row, and state it where it is an image."""
        recorder = self._recorder
        if recorder.values:
            model, args, kwargs = prepared.model, prepared.args, prepared.kwargs
            recorder.emit(*recorder.kept.take(model, args, kwargs, outcome.facts))

    def _now(self) -> dict[str, Any]:
        """Return what every capture says of the moment in which it was made."""
        course = self._recorder.course
        return {"values": self._recorder.values, "epoch": course.epochs, "step": course.steps}

    def _compare_modes(
        self, root: Root, prepared: replay.Call, outcome: replay.Outcome, capture: int
    ) -> None:
        """State which ops differ in the other mode; what was captured stands without it."""
        try:
            with self._recorder.watch.quiet():
                found = replay.other_mode(prepared, outcome, capture)
            self._recorder.emit(*found)
        except Exception as error:
            pass_on(error)
            self._recorder.emit(_not_captured(root.id, "mode-switched", error))

    def failed(
        self, root: Root, prepared: Prepared, model: nn.Module, args: Any, kwargs: Any,
        error: Exception,
    ) -> Failed | None:  # fmt: skip
        """Play a forward that raised once more, to see how far it came."""
        if isinstance(prepared, replay.Later):
            prepared = prepared.take()
        memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if memory or not root.traceable or root.tries["failure"] <= 0:
            return None
        root.tries["failure"] -= 1
        try:
            with self._recorder.watch.quiet():
                call = prepared or replay.prepare(roots.unwrapped(model), args, kwargs)
                outcome = replay.replay(
                    call, id=self._recorder.next_capture(), model_id=root.id, purpose="failure",
                    compare=False, **self._now(),
                )  # fmt: skip
        except Exception as own:
            pass_on(own)
            return None
        if outcome.failed is None or outcome.raised is None:
            return None
        if outcome.raised.type is not type(error):
            return None
        self._recorder.emit(*outcome.facts)
        return outcome.failed


def untraceable(root: int, model: nn.Module) -> Notice:
    """Say why the ops of a root cannot be heard."""
    why = roots.opaque(roots.unwrapped(model))
    text = f"The ops inside {type(model).__name__} were not traced: {why}."
    return Notice(id=f"opaque-{root}", text=text)


def _not_captured(root: int, purpose: str, error: Exception) -> Notice:
    return Notice(
        id=f"capture-{purpose}-{root}",
        text=f"{'An' if purpose == 'evaluation' else 'A'} {purpose} forward could not be replayed: "
        f"{type(error).__name__}: "
        f"{str(error).splitlines()[0][:200] if str(error) else ''}",
    )
