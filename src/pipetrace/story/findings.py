"""Silent bugs: each with its line, what was executed to find it, and what to write instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from pipetrace.blocks import AnyBlock, Code, Fact, Facts, Page, Remark, Remarks, Section, Text
from pipetrace.checks.findings import SEVERITIES, Finding
from pipetrace.checks.judge import asked_of, judge
from pipetrace.observed import Calls
from pipetrace.records import Capture, Ended, Notice, Provenance, Selection
from pipetrace.story.figures import plural
from pipetrace.story.forwards import home, short
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

MOST = 30
"""Of more findings the first ones are told in full, the others in a line each."""
_TONES = {"error": "bad", "warning": "warning", "advice": "key", "note": "muted"}
_PLURALS = {"advice": "advice"}
_ENDS = {"raised": "it raised", "interrupted": "it was interrupted"}


@section(id="findings", title="Findings", order=17)
def findings(recording: Recording) -> Content | None:
    """Tell what the rules find; nothing of a run that was not observed for them, if there is none.

    The rules read what is there: more is there of a run of `pipetrace check`.
    """
    found = judge(recording)
    if not found and not recording.first(Calls):
        return None
    folder = home(recording)
    grave = tuple(_line(each, folder) for each in found if each.grave)
    return Content(
        blocks=told(found, folder), intro=summary(recording, found),
        brief=(Remarks(remarks=grave),) if grave else (),
    )  # fmt: skip


def told(found: Sequence[Finding], folder: str = "") -> tuple[AnyBlock, ...]:
    """Tell findings, notes in a line each.

    Args:
        found: The gravest first.
        folder: Files inside of it are named from it.
    """
    full = [each for each in found if each.severity != "note"][:MOST]
    rest = [each for each in found if each not in full]
    blocks = [block for each in full for block in _block(each, folder)]
    if rest:
        blocks.append(Remarks(remarks=tuple(_line(each, folder) for each in rest)))
    return tuple(blocks)


def report(
    recording: Recording, found: Sequence[Finding], selection: Selection, folder: str
) -> Page:  # fmt: skip
    """Return the page of a check: nothing but findings, and at its end what they come to."""
    origin = recording.first(Provenance)
    tone = "warning" if any(each.grave for each in found) or incomplete(recording) else "good"
    end = Text(text=summary(recording, found, selection), tone=tone)
    part = Section(id="findings", title="Findings", blocks=(*told(found, folder), end))
    name = "a run" if origin is None else PurePath(origin.path).name or origin.name
    return Page(title=f"{name} - check", subtitle="", sections=(part,))


def summary(
    recording: Recording, found: Sequence[Finding], selection: Selection | None = None
) -> str:  # fmt: skip
    """Say in one line what came of the rules that were asked, and of what they were asked."""
    counts = Counter(each.severity for each in found)
    parts = [plural(counts[kind], kind, _PLURALS.get(kind, "")) for kind in SEVERITIES
             if counts[kind]]  # fmt: skip
    result = f"{plural(len(found), 'finding')}: {', '.join(parts)}." if found else "No finding."
    calls = recording.all(Calls)
    seen = f"of {plural(sum(each.count for each in calls), 'call')} of models"
    where = seen if calls else "of what was recorded; no loop was observed"
    asked = f"{plural(len(asked_of(recording, selection)), 'rule')} asked {where}."
    return " ".join((result, asked, *incomplete(recording)))


def incomplete(recording: Recording) -> list[str]:
    """Say why a check has not seen the whole program, where it has not."""
    ended = recording.last(Ended)
    reason = _ENDS.get(ended.status) if ended else None
    if ended and not reason and ended.code:
        reason = f"it ended with exit code {ended.code}"
    said = [f"Only until {reason} was the program seen."] if reason else []
    if not recording.first(Calls) and not recording.first(Capture):
        return [*said, "No forward of a module with parameters was seen: nothing was checked."]
    failed = ("observer", "recorder", "end", "trials")
    return said + [note.text for note in recording.all(Notice) if note.id in failed]


def _block(each: Finding, folder: str) -> list[AnyBlock]:
    where = _where(each, folder)
    facts = [Fact(label="where", value=where, note=f"`{each.text}`" if each.text else "")]
    if each.module:
        facts.append(Fact(label="module", value=f"`{each.module}`"))
    facts.append(Fact(label="executed", value=each.evidence))
    if each.why:
        facts.append(Fact(label="why", value=each.why))
    facts.append(Fact(label="more", value=f"{each.link}, or `pipetrace explain {each.id}`"))
    head = f"{each.id} {each.severity}: {each.message}"
    return [
        Text(text=head, tone=_TONES[each.severity]),
        Facts(facts=tuple(fact for fact in facts if fact.value)),
        Code(text=each.fix),
    ]


def _line(each: Finding, folder: str) -> Remark:
    return Remark(id=each.id, where=_where(each, folder), tone=_TONES[each.severity],
                  text=f"{each.message} {each.evidence}")  # fmt: skip


def _where(each: Finding, folder: str) -> str:
    return f"{short(folder, each.file)}:{each.line}" if each.file else ""
