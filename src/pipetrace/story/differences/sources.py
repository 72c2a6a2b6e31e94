"""The source text of two runs, file by file, and the lines in which it differs."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from pipetrace.blocks import AnyBlock, Code, Text
from pipetrace.records import Provenance, SourceText
from pipetrace.story.differences.pair import Finding, Pair
from pipetrace.story.figures import plural, whole
from pipetrace.story.forwards import home, short
from pipetrace.story.registry import Content
from pipetrace.tracefile import Recording

AROUND = 2
"""Equal lines shown around a line that differs."""
PLACES = 12
"""Of more places where a text differs only so many are shown."""
ALIKE = 0.5
"""Of texts that have less in common than this share of their lines, none are shown."""


class File(NamedTuple):
    """A file that a run kept, by the name that its user gave it."""

    name: str
    lines: list[str]


def source(pair: Pair) -> Content | None:
    """Show the lines that differ, those of A above those of B."""
    blocks: list[AnyBlock] = []
    for a, b in files(pair):
        blocks += _shown(a, b) if a and b else [Text(text=_alone(a, b), tone="muted")]
    return Content(blocks=tuple(blocks)) if blocks else None


def same_source(pair: Pair) -> Finding:
    """Compare the text of the files that the runs kept."""
    found, label = files(pair), "source text"
    kept = [origin.source for run in (pair.a, pair.b) if (origin := run.first(Provenance))]
    if not any(a and b for a, b in found):
        return Finding(label, None, "no text of a file is in both runs")
    for a, b in found:
        if a is None or b is None:
            return Finding(label, False if all(kept) else None, _alone(a, b).rstrip("."))
        if a.lines != b.lines:
            _, i, _, j, _ = next(
                step for step in _matched(a, b).get_opcodes() if step[0] != "equal"
            )
            other = f" ({whole(j + 1)} in B)" if i != j else ""
            return Finding(label, False, f"{_names(a, b)}, line {whole(i + 1)}{other}")
    return Finding(label, True, plural(len(found), "file"))


def files(pair: Pair) -> list[tuple[File | None, File | None]]:
    """Pair the files of both by name; the scripts themselves are a pair whatever their names."""
    a, b = _files(pair.a), _files(pair.b)
    return [(a.get(name), b.get(name)) for name in {**a, **b}]


def _files(recording: Recording) -> dict[str, File]:
    origin, folder = recording.first(Provenance), home(recording)
    script = origin.path if origin else ""
    found: dict[str, File] = {}
    for item in recording.all(SourceText):
        name = short(folder, item.path)
        found["" if item.path == script else name] = File(name, item.text.splitlines())
    return found


def _shown(a: File, b: File) -> Iterator[AnyBlock]:
    if a.lines == b.lines:
        return
    matcher = _matched(a, b)
    if matcher.ratio() < ALIKE:
        equal = sum(match.size for match in matcher.get_matching_blocks())
        words = (f"{_names(a, b)}: {plural(equal, 'line')} of {len(a.lines)} in A and "
                 f"{len(b.lines)} in B are equal; they are not shown line by line.")  # fmt: skip
        yield Text(text=words, tone="muted")
        return
    places = list(matcher.get_grouped_opcodes(AROUND))
    for group in places[:PLACES]:
        changed = [step for step in group if step[0] != "equal"]
        ours = [(i, j) for _, i, j, _, _ in group], [(i, j) for _, i, j, _, _ in changed]
        theirs = [(i, j) for _, _, _, i, j in group], [(i, j) for _, _, _, i, j in changed]
        for run, file, (spans, other) in (("A", a, ours), ("B", b, theirs)):
            first, end = spans[0][0], spans[-1][1]
            marks = (line + 1 for span in other for line in range(*span))
            yield Code(text="\n".join(file.lines[first:end]), path=f"{run}: {file.name}",
                       first=first + 1, marks=tuple(marks))  # fmt: skip
    if len(places) > PLACES:
        words = f"These are the first {PLACES} of {len(places)} places that differ."
        yield Text(text=words, tone="muted")


def _matched(a: File, b: File) -> SequenceMatcher[str]:
    return SequenceMatcher(None, a.lines, b.lines, autojunk=False)


def _alone(a: File | None, b: File | None) -> str:
    file = a or b
    return f"{file.name if file else 'A file'} is in {'A' if a else 'B'} only."


def _names(a: File, b: File) -> str:
    return a.name if a.name == b.name else f"{a.name} and {b.name}"
