"""A lesson on a run becomes one page of ten modes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

import pipetrace
from pipetrace.blocks import AnyBlock, Crash, Event, Mode, Page, Section, Text
from pipetrace.lessons.content import MODES, Include, Passage
from pipetrace.lessons.taught import Taught
from pipetrace.story import page as run_page
from pipetrace.story.lesson import asking, bugs, passages, studies
from pipetrace.story.registry import Entry, entries
from pipetrace.tracefile import Recording

WORDS = {
    "why": "What the layer is for, measured with it and without it.",
    "deep": "Definition, formulas, variants, and where it belongs.",
    "trace": "The data flow, stage by stage.",
    "training": "The training, epoch by epoch.",
    "predict": "One sample, layer by layer, in eval mode.",
    "metrics": "What the predictions are worth.",
    "checks": "Silent bugs of this subject, to run and to mend.",
    "practice": "Questions and challenges with solutions.",
    "experiment": "Settings to change, curves to compare, a target to reach.",
    "review": "Cards that come again, and the test of ten questions.",
}
Made = Callable[[Taught], tuple[AnyBlock, ...]]
_PLACED: dict[str, tuple[str, Made]] = {
    "practice": ("Questions to practise", asking.practice),
    "challenges": ("Code to read and to mend", asking.challenges),
    "exam": ("Test of ten questions", asking.exam),
    "cards": ("Cards", asking.cards),
    "checks": ("Programs with a silent bug", bugs.blocks),
    "experiment": ("Settings to try", studies.experiment),
}
"""What the engine puts where the text says `!practice`, with its title."""


def page(taught: Taught, events: Sequence[Event] = ()) -> Page:
    """Turn a lesson, as far as it has been made, into the page that every view shows.

    Args:
        taught: The lesson, its run, and what was executed.
        events: What this learner answered before.
    """
    about = taught.lesson.about
    origin = run_page.page(taught.recording)
    told = tuple(sections(taught))
    return Page(
        title=f"{about.title}: a lesson",
        subtitle=f"{about.words} On {'your own run' if taught.own else 'a fresh run'}: "
        f"{origin.subtitle}",
        sections=told,
        contents=origin.contents,
        generator=f"pipetrace {pipetrace.__version__}",
        modes=tuple(
            Mode(id=mode, label=label, words=WORDS[mode])
            for mode, label in MODES.items()
            if any(section.mode == mode for section in told)
        ),
        learner=about.id,
        events=tuple(events),
    )


def sections(taught: Taught) -> Iterator[Section]:
    """Yield the sections of every mode, in order; each comes once."""
    known = {entry.id: entry for entry in entries()}
    facts = taught.facts()
    seen: set[str] = set()
    for mode in MODES:
        first = True
        for passage in taught.lesson.passages:
            if passage.mode != mode:
                continue
            for section in _guarded(taught, passage, facts, known, first):
                if section.id not in seen:
                    seen.add(section.id)
                    yield msgspec.structs.replace(section, mode=mode)
            first = False
        if mode == "practice" and "quiz" not in seen:
            yield from _embedded(taught.recording, known["quiz"], mode)


def _guarded(
    taught: Taught, passage: Passage, facts: dict[str, str], known: dict[str, Entry[Recording]],
    first: bool,
) -> list[Section]:  # fmt: skip
    """Make the sections of a passage; one that raises is a `Crash` block.

    What only introduces something that this run does not have is left out with it, but for the
    first words of a mode.
    """
    try:
        placed = list(_placed(taught, passage, known))
        blocks = passages.blocks(taught, passage, facts)
    except Exception as error:
        crash = Crash(
            title=f"“{passage.title}” could not be made", text=f"{type(error).__name__}: {error}"
        )
        return [Section(id=_id(passage), title=passage.title, blocks=(crash,))]
    wanted = [part for part in passage.parts if isinstance(part, Include) and part.kind != "study"]
    if wanted and not placed:
        if not first:
            return []
        blocks.append(Text(text="This run has nothing of it to show.", tone="muted"))
    own = [Section(id=_id(passage), title=passage.title, blocks=tuple(blocks))] if blocks else []
    return own + placed


def _placed(
    taught: Taught, passage: Passage, known: dict[str, Entry[Recording]]
) -> Iterator[Section]:
    for part in passage.parts:
        if not isinstance(part, Include):
            continue
        if part.kind in _PLACED:
            title, make = _PLACED[part.kind]
            made = make(taught)
            if made:
                yield Section(id=part.kind, title=title, blocks=made)
        elif part.kind in ("section", "quiz"):
            name = part.name or part.kind
            if name in known:
                yield from _embedded(taught.recording, known[name], passage.mode)


def _embedded(recording: Recording, entry: Entry[Recording], mode: str) -> Iterator[Section]:
    for section in run_page.sections([entry], recording):
        # Two sections of one name could not be told apart by who hears them read.
        title = f"{section.title} of this run" if section.title in MODES.values() else section.title
        yield msgspec.structs.replace(section, title=title, mode=mode)


def _id(passage: Passage) -> str:
    if passage.title == MODES[passage.mode]:
        return f"on-{passage.mode}"
    return f"on-{passage.mode}-{re.sub(r'[^a-z0-9]+', '-', passage.title.lower()).strip('-')}"
