"""A pair of runs becomes one page; what differs first stands on top, with its numbers."""

from __future__ import annotations

from pathlib import Path

import pipetrace
from pipetrace.blocks import Check, Checks, Page, Text
from pipetrace.story.differences import curves, outcomes, settings, sources, stages
from pipetrace.story.differences.pair import Finding, Pair
from pipetrace.story.figures import listing
from pipetrace.story.page import sections
from pipetrace.story.registry import Content, Entry
from pipetrace.tracefile import Recording

GIVEN = (settings.same_settings, sources.same_source)
"""What was given to the runs, in the order in which it takes effect."""
UNKNOWN = (
    "Not compared, because a run file does not hold it: the initial weights themselves, the rows "
    "of batches that were not captured, the state of optimizers and of random streams, gradients "
    "by step. Nor is compared what only one of the two runs measured, as a gradient norm."
)


def page(a: Recording, b: Recording) -> Page:
    """Turn two recordings into one page that compares them.

    Args:
        a: what one run has stated so far; it may be unfinished, or of a failed program.
        b: the same of the other.

    Returns:
        The page; in its words the runs are called A and B, in the order given.
    """
    pair = Pair(a, b)
    names = [_name(recording, run) for recording, run in ((a, "A"), (b, "B"))]
    found = (
        ("first", "What differs first", first),
        ("runs", "The two runs", settings.runs),
        ("settings", "Settings", settings.settings),
        ("source", "Source lines that differ", sources.source),
        ("model", "Model", stages.model),
        ("stages", "Stages", stages.stages),
        ("curves", "Training, side by side", curves.curves),
        ("observations", "Observations and notices", outcomes.observations),
        ("prediction", "Prediction", outcomes.prediction),
    )
    entries = [Entry(key, title, at, tell) for at, (key, title, tell) in enumerate(found)]
    return Page(
        title=f"{names[0]} and {names[1]} - two runs compared",
        subtitle=f"A is {names[0]}, B is {names[1]}",
        sections=sections(entries, pair),
        generator=f"pipetrace {pipetrace.__version__}",
    )


def first(pair: Pair) -> Content:
    """Say where the two runs part, then the outcome of every comparison in order."""
    given = [compare(pair) for compare in GIVEN]
    computed = [
        stages.same_model(pair), stages.same_forward(pair), *curves.same_steps(pair),
        curves.same_epochs(pair), outcomes.same_prediction(pair),
    ]  # fmt: skip
    state = {True: "yes", False: "no", None: "unknown"}
    word = {True: "equal", False: "different", None: "not compared"}
    checks = tuple(
        Check(label=f"{item.label}: {word[item.equal]}", state=state[item.equal], detail=item.words)
        for item in (*given, *computed)
    )
    alike = all(item.equal is not False for item in (*given, *computed))
    return Content(
        blocks=(
            Text(text=sentence(given, computed), tone="good" if alike else "key"),
            Checks(checks=checks),
            Text(text=UNKNOWN, tone="muted"),
        )
    )


def sentence(given: list[Finding], computed: list[Finding]) -> str:
    """Say where two runs part.

    Args:
        given: the comparisons of what the runs were given.
        computed: those of what they computed, in the order of time.

    >>> sentence([Finding("settings", True, "")], [Finding("model", True, ""),
    ...          Finding("losses", False, "step 37")])
    'Equal in settings. The runs are equal until step 37.'
    """
    other = [f"{item.label} ({item.words})" for item in given if item.equal is False]
    equal = [item.label for item in given if item.equal]
    parts = [f"Different in {listing(other)}."] if other else []
    parts += [f"Equal in {listing(equal)}."] if equal else []
    known = [item for item in computed if item.equal is not None]
    parted = next((item for item in known if item.equal is False), None)
    if parted and parted is known[0]:
        parts.append(f"What they computed differs from the start: {parted.words}.")
    elif parted:
        who = "What they computed is" if other else "The runs are"
        parts.append(f"{who} equal until {parted.until or parted.words}.")
    elif known:
        parts.append(f"What they computed is equal in all that was compared: "
                     f"{listing(f'{item.label} ({item.words})' for item in known)}.")  # fmt: skip
    else:
        parts.append("Nothing that both computed was recorded.")
    return " ".join(parts)


def _name(recording: Recording, run: str) -> str:
    return run if recording.path is None else Path(recording.path).stem
