"""Trials take no longer than they may, and one that fails spares the others."""

from __future__ import annotations

from typing import Any

from pipetrace.probes.trials.trial import carried_out
from pipetrace.records import Notice

SUBJECT: Any = type("Subject", (), {"capture": type("Capture", (), {"id": 3})})()


def fact(subject):
    yield Notice(id="found", text="it")


def failing(subject):
    raise ValueError("of its own")


def ids(trials, seconds: float) -> list[str]:
    return [each.id for each in carried_out(trials, [SUBJECT], seconds) if isinstance(each, Notice)]


def test_one_that_fails_spares_the_others():
    assert ids([failing, fact], 60) == ["trial-failing-3", "found"]


def test_none_is_begun_once_the_time_is_over():
    assert ids([fact, fact], -1) == ["trials"]
