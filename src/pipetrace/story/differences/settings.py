"""What two runs were given: command, versions, seed, optimizer, rows, and their source text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import PurePath

from pipetrace.blocks import AnyBlock, Code, Text
from pipetrace.records import (
    Column,
    Dataset,
    Ended,
    Epoch,
    Model,
    Preparation,
    Provenance,
    Seed,
    SourceText,
)
from pipetrace.story.differences.pair import Finding, Pair, Told, differing, table
from pipetrace.story.epochs import Trace, traces
from pipetrace.story.figures import listing, plural, seconds, setting, shape, whole
from pipetrace.story.forwards import home, short
from pipetrace.story.registry import Content
from pipetrace.tracefile import Recording

AROUND = 2
"""Equal lines shown around a line that differs."""
HUNKS = 12
"""Of more places where the text differs only so many are shown."""


def runs(pair: Pair) -> Content:
    """Tell which two runs are compared, and how each ended."""
    a, b = _run(pair.a), _run(pair.b)
    rows = [(label, a.get(label, "–"), b.get(label, "–")) for label in {**a, **b}]
    return Content(blocks=(table(("", "A", "B"), rows),))


def settings(pair: Pair) -> Content:
    """Tell which settings differ, and name those that are equal."""
    a, b = given(pair.a), given(pair.b)
    rows = differing(a, b)
    blocks: list[AnyBlock] = [table(("setting", "A", "B"), rows)] if rows else []
    equal = [label for label in a if a[label] == b.get(label)]
    if equal:
        blocks.append(Text(text=f"Equal in both: {listing(equal)}.", tone="muted"))
    return Content(blocks=tuple(blocks), title="Settings that differ" if rows else "Settings")


def source(pair: Pair) -> Content | None:
    """Show the lines of source text that differ, those of A above those of B."""
    blocks: list[AnyBlock] = []
    for name, a, b in _texts(pair):
        if a is None or b is None:
            words = f"{name} is in {'B' if a is None else 'A'} only."
            blocks.append(Text(text=words, tone="muted"))
            continue
        hunks = list(_hunks(a, b))
        for codes in hunks[:HUNKS]:
            blocks += [Code(text=text, path=f"{run}: {name}", first=first, marks=marks)
                       for run, text, first, marks in codes]  # fmt: skip
        if len(hunks) > HUNKS:
            words = f"The first {HUNKS} of {len(hunks)} places of {name} that differ."
            blocks.append(Text(text=words, tone="muted"))
    return Content(blocks=tuple(blocks)) if blocks else None


def same_settings(pair: Pair) -> Finding:
    """Compare what both runs were given."""
    a, b = given(pair.a), given(pair.b)
    rows = differing(a, b)
    if not rows:
        return Finding("settings", True if a else None, plural(len(a), "setting"))
    some = [f"{label} {_cut(one)} against {_cut(two)}" for label, one, two in rows[:3]]
    more = f"; {len(rows) - 3} more" if len(rows) > 3 else ""
    return Finding("settings", False, "; ".join(some) + more)


def same_source(pair: Pair) -> Finding:
    """Compare the text of the files that both runs kept."""
    found = list(_texts(pair))
    if not found:
        return Finding("source text", None, "no text of a file is in both runs")
    for name, a, b in found:
        if a is None or b is None:
            words = f"{name} is in {'B' if a is None else 'A'} only"
            kept = [origin.source for run in (pair.a, pair.b) if (origin := run.first(Provenance))]
            return Finding("source text", False if all(kept) else None, words)
        for (_, _, first, marks), (_, _, other, _) in _hunks(a, b):
            line = marks[0] if marks else first + AROUND
            at = f"{name} from line {line}" + (f" ({other} in B)" if other != first else "")
            return Finding("source text", False, at)
    return Finding("source text", True, plural(len(found), "file"))


def given(recording: Recording) -> Told:
    """Return what a run was given, in words."""
    told: Told = {}
    origin = recording.first(Provenance)
    if origin:
        folder = home(recording)
        if origin.command:
            told["command"] = " ".join(short(folder, word) for word in origin.command)
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
    for data in recording.all(Dataset):
        told |= {f"{data.role} {label}": words for label, words in _rows(data).items()}
    found = traces(recording)
    for number, trace in enumerate(found, 1):
        which = f"training {number}: " if len(found) > 1 else ""
        told |= {f"{which}{label}": words for label, words in _training(trace).items()}
    for column in recording.all(Column):
        words = ", ".join((column.type, column.role, *column.encoded))
        told[f"column {column.name}"] = words
    told |= {f"preparation {stage.index}": f"{stage.name}: {stage.words}"
             for stage in recording.all(Preparation)}  # fmt: skip
    return {label: words for label, words in told.items() if words}


def _rows(data: Dataset) -> Told:
    return {
        "rows": "" if data.rows is None else whole(data.rows),
        "batch": "" if data.batch is None else str(data.batch),
        "features": shape(data.features) if data.features else "",
        "classes": ", ".join(data.classes),
        "data": data.name,
    }


def _training(trace: Trace) -> Told:
    made = trace.training
    told = {"optimizer": made.optimizer, "loss function": made.loss, "task": made.task}
    told |= {item.name: item.value for item in made.settings}
    epochs = [row.epoch for row in trace.epochs if row.epoch]
    rates = dict.fromkeys(", ".join(map(setting, epoch.rates)) for epoch in epochs if epoch.rates)
    told["learning rates at the ends of epochs"] = _cut(" → ".join(rates), 100)
    told["steps per epoch"] = _cut(", ".join(str(n) for n in {e.steps: None for e in epochs}))
    told["epochs recognised by"] = listing(dict.fromkeys(e.rule for e in epochs if e.rule))
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
    models = [f"{item.type}, {plural(item.parameters, 'parameter')} on {item.device}"
              for item in recording.all(Model)]  # fmt: skip
    told["model"] = models[0] if len(models) == 1 else plural(len(models), "model")
    told["epochs"] = str(len(recording.all(Epoch)))
    return {label: words for label, words in told.items() if words}


def _texts(pair: Pair) -> Iterable[tuple[str, str | None, str | None]]:
    """Pair the files of both by name; the scripts themselves are a pair whatever their names."""
    a, b = (_files(recording) for recording in (pair.a, pair.b))
    if not a or not b:
        return
    for key in {**a, **b}:
        one, two = a.get(key), b.get(key)
        name = " and ".join(dict.fromkeys(item[0] for item in (one, two) if item))
        yield name, one and one[1], two and two[1]


def _files(recording: Recording) -> dict[str, tuple[str, str]]:
    origin, folder = recording.first(Provenance), home(recording)
    main = origin.path if origin else ""
    return {
        "" if item.path == main else short(folder, item.path): (
            short(folder, item.path), item.text)
        for item in recording.all(SourceText)
    }  # fmt: skip


_Side = tuple[str, str, int, tuple[int, ...]]
"""The run, its lines, the number of the first, and those that differ."""


def _hunks(a: str, b: str) -> Iterable[tuple[_Side, _Side]]:
    """Return the places where two texts differ, with the lines around them."""
    if a == b:
        return
    one, two = a.splitlines(), b.splitlines()
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    for group in matcher.get_grouped_opcodes(AROUND):
        changed = [step for step in group if step[0] != "equal"]
        ours = tuple(line + 1 for step in changed for line in range(step[1], step[2]))
        theirs = tuple(line + 1 for step in changed for line in range(step[3], step[4]))
        top, end = group[0], group[-1]
        yield (
            ("A", "\n".join(one[top[1] : end[2]]), top[1] + 1, ours),
            ("B", "\n".join(two[top[3] : end[4]]), top[3] + 1, theirs),
        )


def _cut(words: str, most: int = 40) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
