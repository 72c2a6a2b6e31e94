"""An architecture passes if its check, in either mode, finds nothing grave that is no bug."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from torch import nn

from checks.confirmed import CONFIRMED
from pipetrace.checking import watched
from pipetrace.checks.judge import judge
from pipetrace.records import Notice
from pipetrace.tracefile import Recording
from zoo.architectures import Architecture
from zoo.check import SEED, Verdict, seed, worded


def judged(architecture: Architecture) -> Verdict:
    """Check an architecture alone, once in eval and once in train mode."""
    reasons: list[str] = []
    for mode in ("eval", "train"):
        try:
            model, args, kwargs = _made(architecture, training=mode == "train")
            model(*args, **kwargs)
        except Exception as error:
            reason = f"{mode}, without us: {worded(error)}"
            return Verdict(architecture.name, "check", "not built", (reason,))
        try:
            recording = _checked(architecture, training=mode == "train")
        except Exception as error:
            reasons.append(f"{mode}: raised: {worded(error)}")
        else:
            reasons += [f"{mode}: {each}" for each in _complaints(architecture.name, recording)]
    return Verdict(architecture.name, "check", "fail" if reasons else "pass", tuple(reasons))


def _made(architecture: Architecture, *, training: bool) -> tuple[nn.Module, Any, Any]:
    seed(SEED)
    model = architecture.build().train(training)
    args, kwargs = architecture.inputs(model)
    seed(SEED + 1)
    return model, args, kwargs


def _checked(architecture: Architecture, *, training: bool) -> Recording:
    """Do what `pt.check` does, and return what was stated rather than what was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, args, kwargs = _made(architecture, training=training)
        assert not (args and kwargs)
        return watched(model, kwargs or tuple(args), None, loss_fn=None, optimizer=None,
                       train_step=None, eval_step=None)  # fmt: skip


def _complaints(name: str, recording: Recording) -> Iterator[str]:
    """Yield what is said of a healthy architecture, and what the check could not do."""
    confirmed = CONFIRMED.get(name, set())
    for found in judge(recording):
        failed = "could not be asked" in found.message
        if failed or (found.grave and found.id not in confirmed):
            yield f"{found.id} {found.module}: {found.message} {found.evidence}"
    yield from (f"notice {each.id}: {each.text}" for each in recording.all(Notice))
