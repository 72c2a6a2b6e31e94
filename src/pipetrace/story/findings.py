"""Silent bugs: each with its line, what was executed to find it, and what to write instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from pipetrace.blocks import AnyBlock, Code, Fact, Facts, Page, Remark, Remarks, Section, Text
from pipetrace.checks.findings import SEVERITIES, Finding
from pipetrace.checks.judge import Judged, asked_of, judged
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
    result = judged(recording)
    found = result.findings
    if not found and not recording.first(Calls):
        return None
    folder = home(recording)
    grave = tuple(_line(each, folder) for each in found if each.grave)
    return Content(
        blocks=told(found, folder), intro=summary(recording, result), title=_title(found),
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
    total = len(full) if len(full) > 1 else 0
    blocks = [block for number, each in enumerate(full, 1)
              for block in _block(each, folder, f"{number}/{total} " if total else "")]  # fmt: skip
    if rest:
        blocks.append(Remarks(remarks=tuple(_line(each, folder) for each in rest)))
    return tuple(blocks)


def report(
    recording: Recording, result: Judged, selection: Selection, folder: str, hidden: int = 0
) -> Page:  # fmt: skip
    """Return the page of a check: nothing but findings, and at its end what they come to.

    Args:
        recording: The run.
        result: What was found, as far as it is asked for.
        selection: Which rules were asked.
        folder: Files inside of it are named from it.
        hidden: How many are left out for their severity.
    """
    origin, found = recording.first(Provenance), result.findings
    partial = incomplete(recording) or cut(recording)
    tone = "warning" if partial or any(each.grave for each in found) else "good"
    end = Text(text=summary(recording, result, selection, hidden), tone=tone)
    part = Section(id="findings", title=_title(found), blocks=(*told(found, folder), end))
    name = "a run" if origin is None else PurePath(origin.path).name or origin.name
    return Page(title=f"{name} - check", subtitle="", sections=(part,))


def alone(found: Sequence[Finding]) -> Page:
    """Return a page of findings and nothing else; files are named from the current folder."""
    blocks = told(found, str(Path.cwd())) or (Text(text="No finding.", tone="good"),)
    ids = ", ".join(dict.fromkeys(each.id for each in found))
    part = Section(id="findings", title=_title(found), blocks=blocks)
    return Page(title=f"pipetrace: {ids or 'check'}", subtitle="", sections=(part,))


def summary(
    recording: Recording, result: Judged, selection: Selection | None = None, hidden: int = 0
) -> str:  # fmt: skip
    """Say in one line what came of the rules that were asked, and of what they were asked."""
    found = result.findings
    counts = Counter(each.severity for each in found)
    parts = [plural(counts[kind], kind, _PLURALS.get(kind, "")) for kind in SEVERITIES
             if counts[kind]]  # fmt: skip
    said = f"{plural(len(found), 'finding')}: {', '.join(parts)}." if found else "No finding."
    if result.silenced:
        said += f" {plural(result.silenced, 'more is', 'more are')} silenced by comments."
    if hidden:
        said += f" {plural(hidden, 'less grave one is', 'less grave ones are')} not reported."
    calls = recording.all(Calls)
    seen = f"of {plural(sum(each.count for each in calls), 'call')} of models"
    where = seen if calls else "of what was recorded; no loop was observed"
    asked = f"{plural(len(asked_of(recording, selection)), 'rule')} asked {where}."
    return " ".join((said, asked, *incomplete(recording), *cut(recording), *result.strange))


def cut(recording: Recording) -> list[str]:
    """Say what was not seen because the program was stopped after so many steps, as was asked."""
    ended = recording.last(Ended)
    if ended is None or ended.status != "stopped":
        return []
    said = ["It was stopped early, as `--steps` asks: what comes later was not seen."]
    if not any(each.trained == 0 and not (each.graph and each.training)
               for each in recording.all(Calls)):  # fmt: skip
        said.append("No evaluation was seen until then: whoever asks for one needs more steps.")
    return said


def _title(found: Sequence[Finding]) -> str:
    return f"Findings, {len(found)}" if found else "Findings"


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


def _block(each: Finding, folder: str, number: str) -> list[AnyBlock]:
    where = _where(each, folder)
    facts = [Fact(label="where", value=where, note=f"`{each.text}`" if each.text else "")]
    if each.module:
        facts.append(Fact(label="module", value=f"`{each.module}`"))
    facts.append(Fact(label="executed", value=each.evidence))
    if each.why:
        facts.append(Fact(label="why", value=each.why))
    more = Fact(label="more", value=f"`pipetrace explain {each.id}`")
    head = f"{number}{each.id} {each.severity}: {each.message}"
    return [
        Text(text=head, tone=_TONES[each.severity]),
        Facts(facts=tuple(fact for fact in facts if fact.value)),
        Code(text=each.fix, path="write instead"),
        Facts(facts=(more,)),
    ]


def _line(each: Finding, folder: str) -> Remark:
    return Remark(id=each.id, where=_where(each, folder), tone=_TONES[each.severity],
                  text=f"{each.message} {each.evidence}")  # fmt: skip


def _where(each: Finding, folder: str) -> str:
    return f"{short(folder, each.file)}:{each.line}" if each.file else ""
