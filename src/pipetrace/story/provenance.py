"""What ran, where, with which versions, and whether looking at it changed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pipetrace.blocks import Check, Checks, Fact, Facts, Text
from pipetrace.records import (
    Capture,
    Ended,
    Model,
    Provenance,
    Receipt,
    Seed,
    Training,
)
from pipetrace.story.figures import listing, number, plural, seconds, whole
from pipetrace.story.forwards import home, short
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
_ENDS = {
    "finished": "finished",
    "raised": "by an exception",
    "interrupted": "interrupted",
    "stopped": "stopped by --steps",
}


@section(id="provenance", title="Where this comes from", order=10)
def provenance(recording: Recording) -> Content | None:
    """Tell what ran, and give the receipt of every traced forward."""
    facts = tuple(_facts(recording))
    receipt = _receipt(recording.all(Capture))
    if not facts and not receipt:
        return None
    heading = (
        "Faithfulness receipt: each traced forward against the plain one, what was left "
        "against what was found."
    )
    blocks: tuple[Facts | Text | Checks, ...] = (Facts(facts=facts),) if facts else ()
    if receipt:
        blocks = (*blocks, Text(text=heading, tone="muted"), Checks(checks=receipt))
    return Content(blocks=blocks)


def _facts(recording: Recording) -> Iterable[Fact]:
    origin = recording.first(Provenance)
    ended = recording.last(Ended)
    if origin:
        folder = home(recording)
        words = ["pipetrace", *(short(folder, word) for word in origin.command)]
        command = " ".join(words) if origin.command else short(folder, origin.path) or origin.name
        yield Fact(label="ran", value=command, note=_ORIGINS.get(origin.origin, origin.origin))
        if origin.started:
            yield Fact(label="started", value=origin.started.replace("T", " ")[:19])
    if ended:
        code = f", exit code {ended.code}" if ended.code else ""
        how = f"{_ENDS.get(ended.status, ended.status)}{code}"
        yield Fact(label="ended", value=f"{how}, after {seconds(ended.seconds)}")
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


def _receipt(captures: Sequence[Capture]) -> tuple[Check, ...]:
    found = [(capture, capture.receipt) for capture in captures if capture.receipt]
    if not found:
        return ()
    return (*_equality(found), *_left(found))


def _equality(found: Sequence[tuple[Capture, Receipt]]) -> Iterable[Check]:
    """Say of all equal forwards one line, and of each other forward a line of its own."""
    equal = [(capture, receipt) for capture, receipt in found if receipt.equal]
    if equal:
        elements = sum(receipt.elements for _, receipt in equal)
        which = (
            "The traced forward gave"
            if len(found) == 1
            else f"{len(equal)} of {len(found)} traced forwards gave"
        )
        detail = f"{plural(elements, 'output value')} compared" if elements else ""
        yield Check(
            label=f"{which} the plain forward's output, bit for bit", state="yes", detail=detail
        )
    for capture, receipt in found:
        if not receipt.equal:
            yield _unequal(capture, receipt)


def _unequal(capture: Capture, receipt: Receipt) -> Check:
    name = f"The {capture.purpose} forward after {plural(capture.step, 'step')}"
    if receipt.equal is None:
        return Check(label=f"{name} was not compared: there was no output", state="unknown")
    apart = (
        f"largest difference {number(receipt.difference)}"
        if receipt.difference is not None
        else "the difference has no size"
    )
    repeats = {
        True: "a plain repeat equals the original: tracing changed it",
        False: "a plain repeat differs from the original as well: this forward does not repeat",
        None: "no plain repeat was made",
    }[receipt.repeats]
    label = f"{name}: its traced replay differs from the plain forward"
    return Check(label=label, state="no", detail=f"{apart}; {repeats}")


def _left(found: Sequence[tuple[Capture, Receipt]]) -> Iterable[Check]:
    """Merge what each capture says of the state that it left, by name."""
    names = dict.fromkeys(check.name for _, receipt in found for check in receipt.checks)
    for name in names:
        checks = [
            (capture, check)
            for capture, receipt in found
            for check in receipt.checks
            if check.name == name
        ]
        label = f"{name} left as found"
        bad = [(capture, check) for capture, check in checks if check.ok is False]
        unknown = [check for _, check in checks if check.ok is None]
        details = [f"capture {item.id}: {check.detail or 'no'}" for item, check in bad[:3]]
        if bad:
            yield Check(label=label, state="no", detail=listing(details))
        elif unknown:
            said = unknown[0].detail or "not measured"
            where = f" in {len(unknown)} of {len(checks)}" if len(checks) > 1 else ""
            yield Check(label=label, state="unknown", detail=f"{said}{where}")
        else:
            told = {check.detail for _, check in checks if check.detail}
            times = f"in each of {len(checks)} captures" if len(checks) > 1 else ""
            yield Check(label=label, state="yes", detail=told.pop() if len(told) == 1 else times)
