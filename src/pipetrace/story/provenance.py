"""What ran, where, with which versions, and whether looking at it changed it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable

from pipetrace.blocks import Checks, Fact, Facts, Text
from pipetrace.records import (
    Capture,
    Ended,
    Model,
    Provenance,
    Seed,
    Training,
)
from pipetrace.story.endings import ending
from pipetrace.story.figures import plural, whole
from pipetrace.story.forwards import home, short
from pipetrace.story.receipts import HEADING, receipts
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

_ORIGINS = {
    "example": "the built-in example",
    "script": "a script",
    "module": "a module",
    "table": "a table",
    "python": "Python code",
    "notebook": "a notebook",
}


@section(id="provenance", title="Where this comes from", order=10)
def provenance(recording: Recording) -> Content | None:
    """Tell what ran, and give the receipt of every traced forward."""
    facts = tuple(_facts(recording))
    receipt = receipts(recording.all(Capture))
    if not facts and not receipt:
        return None
    blocks: tuple[Facts | Text | Checks, ...] = (Facts(facts=facts),) if facts else ()
    if receipt:
        blocks = (*blocks, Text(text=HEADING, tone="muted"), Checks(checks=receipt))
    return Content(blocks=blocks)


def _facts(recording: Recording) -> Iterable[Fact]:
    origin = recording.first(Provenance)
    ended = recording.last(Ended)
    if origin:
        folder = home(recording)
        words = ["pipetrace", *(short(folder, word) for word in origin.command)]
        command = shlex.join(words) if origin.command else short(folder, origin.path) or origin.name
        yield Fact(label="ran", value=command, note=_ORIGINS.get(origin.origin, origin.origin))
        if origin.started:
            yield Fact(label="started", value=origin.started.replace("T", " ")[:19])
    yield Fact(label="ended" if ended else "state", value=ending(recording))
    if origin:
        versions = [f"{name} {version}" for name, version in origin.versions.items()]
        if versions:
            yield Fact(label="versions", value=", ".join(versions))
        met = recording.last(Seed)
        count = met.threads if met and met.threads else origin.threads
        threads = plural(count, "torch thread") if count else ""
        if origin.platform or threads:
            yield Fact(label="machine", value=", ".join(filter(None, (origin.platform, threads))))
    yield from _models(recording)
    seed = recording.last(Seed)
    if seed:
        value = "not set" if seed.value is None else str(seed.value)
        note = "another run draws other numbers" if seed.value is None else "of torch"
        yield Fact(label="seed", value=value, note=note)
    if origin and origin.commit:
        dirty = {True: "with uncommitted changes", False: "nothing uncommitted", None: ""}
        yield Fact(label="commit", value=origin.commit[:12], note=dirty[origin.dirty])


def _models(recording: Recording) -> Iterable[Fact]:
    models = Counter(map(_model, recording.all(Model)))
    for (value, note), count in list(models.items())[:8]:
        yield Fact(label="model", value=f"{count} × {value}" if count > 1 else value, note=note)
    optimizers = Counter(map(_optimizer, recording.all(Training)))
    for (value, note), count in list(optimizers.items())[:8]:
        if value:
            times = f"{count} × {value}" if count > 1 else value
            yield Fact(label="optimizer", value=times, note=note)


def _model(model: Model) -> tuple[str, str]:
    value = f"{model.type}, {plural(model.parameters, 'parameter')}"
    frozen = model.parameters - model.trainable
    note = f"{whole(frozen)} of them frozen" if frozen else "all trainable"
    on = f" on {model.device}" if model.device else ""
    return value + on, note if model.parameters else ""


def _optimizer(training: Training) -> tuple[str, str]:
    given = ", ".join(f"{item.name}={item.value}" for item in training.settings)
    value = f"{training.optimizer}({given})" if given else training.optimizer
    return value, f"loss: {training.loss}" if training.loss else ""
