"""A recording becomes a page: every section in order, and a crash of one spares the others."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path, PurePath

import pipetrace
from pipetrace.blocks import Crash, Page, Section
from pipetrace.records import (
    Capture,
    Ended,
    Epoch,
    Model,
    Provenance,
    Question,
    SourceText,
    Training,
    Weights,
)
from pipetrace.story import (
    broken,
    contrast,
    failure,
    findings,
    flow,
    insight,
    lab,
    metrics,
    network,
    notices,
    prediction,
    provenance,
    questions,
    ranks,
    source,
    steps,
    training,
)
from pipetrace.story.endings import ending
from pipetrace.story.figures import plural, seconds
from pipetrace.story.registry import Entry, Subject, entries
from pipetrace.tracefile import Recording

SECTIONS = (
    provenance, failure, broken, findings, insight, flow, lab, network, contrast, training, metrics,
    steps, ranks, prediction, questions, notices, source,
)  # fmt: skip
"""The modules whose sections a page has: importing them registers these."""
HEAD = ("provenance", "findings", "insight", "training", "metrics", "ranks", "notices")
"""The ids of the sections that are printed, in short, when a run has ended; `show` prints all."""


def page(recording: Recording) -> Page:
    """Turn a recording into the page that every view shows.

    Args:
        recording: what a run has stated so far; it may be unfinished, or of a failed program.

    Returns:
        The page. A section that raises is a `Crash` block; one with nothing to say is left out.
    """
    return _page(recording, sections(_ordered(recording), recording))


def head(recording: Recording) -> Page | None:
    """Return what a page of a training says first, in short: what ran, what it found.

    Nothing is returned where nothing was trained, or something failed: then all is worth reading.
    """
    wrong = [entry for entry in entries() if entry.id in ("failure", "broken")]
    if not recording.first(Training) or sections(wrong, recording):
        return None
    chosen = [entry for entry in _ordered(recording) if entry.id in HEAD]
    return _page(recording, sections(chosen, recording, brief=True))


def _ordered(recording: Recording) -> list[Entry[Recording]]:
    """Return the sections in their order; of a check what it found comes first."""
    first = "findings" if _checked(recording.first(Provenance)) else ""
    return sorted(entries(), key=lambda entry: entry.id != first)


def _checked(origin: Provenance | None) -> bool:
    return origin is not None and origin.command[:1] == ("check",)


def _page(recording: Recording, found: tuple[Section, ...]) -> Page:
    origin = recording.first(Provenance)
    return Page(
        title=f"{_name(origin)} - {'check' if _checked(origin) else 'pipeline trace'}",
        subtitle=_subtitle(recording),
        sections=found,
        contents=_contents(recording, origin),
        generator=f"pipetrace {pipetrace.__version__}",
        learner=_learner(recording, origin),
    )


def _learner(recording: Recording, origin: Provenance | None) -> str:
    """Name what is answered on this page: the run, and when it began; empty if it asks nothing."""
    if origin is None or recording.first(Question) is None:
        return ""
    return f"{origin.name} {origin.started[:19]}".strip()


def sections(
    found: Iterable[Entry[Subject]], subject: Subject, brief: bool = False
) -> tuple[Section, ...]:
    """Make the sections that have something to say; one that raises is a `Crash` block."""
    made = (_guarded(entry, subject, brief) for entry in found)
    return tuple(section for section in made if section and (section.blocks or not brief))


def _guarded(entry: Entry[Subject], subject: Subject, brief: bool) -> Section | None:
    try:
        return entry.make(subject, brief)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        text = f"{type(error).__name__}: {error} ({where}). The other sections are not affected."
        crash = Crash(title=f"The section “{entry.title}” could not be made", text=text)
        return Section(id=entry.id, title=entry.title, blocks=(crash,))


def _name(origin: Provenance | None) -> str:
    if origin is None:
        return "A run"
    return PurePath(origin.path).name or origin.name


def _subtitle(recording: Recording) -> str:
    """Write what ran in one line: model, training, device, time."""
    parts = []
    models = recording.all(Model)
    if len(models) == 1:
        parts.append(f"{models[0].type}, {plural(models[0].parameters, 'parameter')}")
    elif models:
        parts.append(plural(len(models), "model"))
    trainings = recording.all(Training)
    epochs = [epoch for epoch in recording.all(Epoch) if epoch.complete]
    if len(trainings) > 1:
        parts.append(plural(len(trainings), "training"))
    if epochs:
        parts.append(plural(len(epochs), "epoch"))
    devices = dict.fromkeys(model.device for model in models if model.device)
    parts.extend(devices)
    ended, origin = recording.last(Ended), recording.first(Provenance)
    if origin and origin.world > 1:
        parts.append(f"rank {origin.rank} of {origin.world} ranks")
    if ended:
        parts.append(f"{ended.status} after {seconds(ended.seconds)}")
    else:
        parts.append(ending(recording).partition(",")[0])
    if origin and origin.started:
        parts.append(origin.started[:10])
    return " · ".join(parts)


def _contents(recording: Recording, origin: Provenance | None) -> str:
    """Say what of the user's own the file carries."""
    captures = sum(
        any(tensor.row for _, tensor in capture.inputs) for capture in recording.all(Capture)
    )
    texts = len(recording.all(SourceText))
    numbers = sum(len(item.values) for item in recording.all(Weights))
    held = []
    if captures:
        held.append(f"rows of real values from {plural(captures, 'forward')}")
    if numbers:
        held.append(f"{plural(numbers, 'weight')} of the model")
    if texts:
        held.append(f"the source text of {plural(texts, 'file')}")
    out = []
    if origin and not origin.values:
        out.append("rows of real values")
    if origin and not origin.source:
        out.append("source text")
    text = f"This file holds: {'; '.join(held)}." if held else ""
    if out:
        text += f" Left out, as asked: {'; '.join(out)}."
    return text.strip() or "This file holds no rows of real values and no source text."
