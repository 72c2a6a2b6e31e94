"""What two runs were given: command, versions, machine, seed, rows, optimizer."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from pipetrace.blocks import AnyBlock, Text
from pipetrace.records import (
    Column,
    Dataset,
    Ended,
    Epoch,
    Model,
    Preparation,
    Provenance,
    Seed,
)
from pipetrace.story.differences.pair import Finding, Pair, Told, differing, table
from pipetrace.story.epochs import OWN, traces
from pipetrace.story.figures import listing, plural, seconds, setting, shape, whole
from pipetrace.story.forwards import home, short
from pipetrace.story.registry import Content
from pipetrace.tracefile import Recording


def runs(pair: Pair) -> Content:
    """Tell which two runs are compared, and how each ended."""
    a, b = _run(pair.a), _run(pair.b)
    rows = [(label, a.get(label, "–"), b.get(label, "–")) for label in {**a, **b}]
    return Content(blocks=(table(("", "A", "B"), rows),))


def settings(pair: Pair) -> Content:
    """Tell which settings differ, and name those that are equal."""
    a, b = ({**given(run), **_seen(run)} for run in (pair.a, pair.b))
    rows = differing(a, b)
    blocks: list[AnyBlock] = [table(("setting", "A", "B"), rows)] if rows else []
    equal = [label for label in a if a[label] == b.get(label)]
    if equal:
        blocks.append(Text(text=f"Equal in both: {listing(equal)}.", tone="muted"))
    return Content(blocks=tuple(blocks), title="Settings that differ" if rows else "Settings")


def same_settings(pair: Pair) -> Finding:
    """Compare what both runs were given."""
    a, b = given(pair.a), given(pair.b)
    rows = differing(a, b)
    if not rows:
        return Finding("settings", True if a else None, plural(len(a), "setting"))
    some = [f"{label} {_cut(one)} against {_cut(two)}" for label, one, two in rows[:3]]
    more = f"; {len(rows) - 3} more" if len(rows) > 3 else ""
    return Finding("settings", False, "; ".join(some) + more)


def given(recording: Recording) -> Told:
    """Return what a run was given, in words."""
    told: Told = {}
    origin = recording.first(Provenance)
    if origin:
        folder = home(recording)
        if origin.command:
            told["command"] = shlex.join(short(folder, word) for word in origin.command)
        elif origin.path:
            told["script"] = short(folder, origin.path)
        told |= origin.versions
        told["machine"] = origin.platform
        told["commit"] = (origin.commit or "")[:12]
        told["uncommitted changes"] = {True: "yes", False: "no", None: ""}[origin.dirty]
        told["rows of values kept"] = "yes" if origin.values else "no"
        told["source text kept"] = "yes" if origin.source else "no"
    seed = recording.last(Seed)
    if seed:
        told["seed"] = "not set" if seed.value is None else str(seed.value)
    threads = (seed.threads if seed else 0) or (origin.threads if origin else 0)
    told["threads"] = str(threads or "")
    told |= _rows(recording, "training")
    for number, trace in enumerate(traces(recording), 1):
        made = trace.training
        told |= {
            f"{_which(number)}{label}": words
            for label, words in (
                ("optimizer", made.optimizer), ("loss function", made.loss), ("task", made.task),
                *((item.name, item.value) for item in made.settings),
            )
        }  # fmt: skip
    for column in recording.all(Column):
        words = ", ".join((column.type, column.role, *column.encoded))
        told[f"column {column.name}"] = words
    told |= {f"preparation {stage.index}": f"{stage.name}: {stage.words}"
             for stage in recording.all(Preparation)}  # fmt: skip
    return {label: words for label, words in told.items() if words}


def _seen(recording: Recording) -> Told:
    """Return what a run may not have come to, in words."""
    told = _rows(recording, "evaluation")
    for number, trace in enumerate(traces(recording), 1):
        epochs = [row.epoch for row in trace.epochs if row.epoch]
        rates = (", ".join(map(setting, epoch.rates)) for epoch in epochs if epoch.rates)
        steps = {str(epoch.steps): None for epoch in epochs}
        told |= {
            f"{_which(number)}learning rates by epoch": _cut(" → ".join(dict.fromkeys(rates))),
            f"{_which(number)}steps per epoch": _cut(", ".join(steps)),
            f"{_which(number)}epochs recognised by": trace.loop
            if trace.loop == OWN
            else listing({e.rule: None for e in epochs}),
        }
    return {label: words for label, words in told.items() if words}


def _which(number: int) -> str:
    # The first has no number: a run may have one training, the other more.
    return f"training {number}: " if number > 1 else ""


def _rows(recording: Recording, role: str) -> Told:
    told: Told = {}
    for data in recording.all(Dataset):
        if data.role == role:
            told |= {
                f"{role} rows": "" if data.rows is None else whole(data.rows),
                f"{role} batch": "" if data.batch is None else str(data.batch),
                f"{role} features": shape(data.features) if data.features else "",
                f"{role} data": data.name,
                "classes": ", ".join(data.classes),
            }
    return told


def _run(recording: Recording) -> Told:
    origin, ended = recording.first(Provenance), recording.last(Ended)
    told = {"file": "" if recording.path is None else str(recording.path)}
    if origin:
        told["ran"] = PurePath(origin.path).name or origin.name
        told["started"] = origin.started.replace("T", " ")[:19]
    told["ended"] = (
        f"{ended.status} after {seconds(ended.seconds)}" if ended else "still running, or killed"
    )
    models = [f"{item.type}, {plural(item.parameters, 'parameter')} on {item.device or 'no device'}"
              for item in recording.all(Model)]  # fmt: skip
    told["model"] = models[0] if len(models) == 1 else plural(len(models), "model")
    told["epochs"] = str(len(recording.all(Epoch)))
    return {label: words for label, words in told.items() if words}


def _cut(words: str, most: int = 40) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
