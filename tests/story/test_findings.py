"""The findings of a run: the grave ones in full, notes in a line, and what they come to."""

from __future__ import annotations

import pytest

from pipetrace.blocks import Code, Fact, Facts, Remarks, Text
from pipetrace.checks.findings import Finding
from pipetrace.checks.judge import Judged, every_rule
from pipetrace.observed import Calls
from pipetrace.records import Capture, Ended, Notice, Provenance, Selection
from pipetrace.story import findings
from pipetrace.story.page import page
from pipetrace.tracefile import Recording

ORIGIN = Provenance(name="train", origin="script", path="/home/ada/train.py", folder="/home/ada")
CALLS = Calls(id=0, model=0, count=3)


def recording(*facts) -> Recording:
    return Recording([ORIGIN, *facts], {}, None)


def finding(severity: str = "warning", **other) -> Finding:
    return Finding(**{
        "id": "PTR101", "severity": severity, "file": "/home/ada/net.py", "line": 7,
        "message": "It drops.", "evidence": "p = 0.5", "fix": "nn.Dropout(0.5)",
        "why": "It is random.", "text": "F.dropout(x)", "module": "body.2", **other,
    })  # fmt: skip


def test_a_grave_one_is_told_with_line_evidence_reason_and_fix():
    head, facts, fix, more = findings.told([finding()], "/home/ada")
    assert head == Text(text="PTR101 warning: It drops.", tone="warning")
    assert isinstance(facts, Facts)
    assert {fact.label: fact.value for fact in facts.facts} == {
        "where": "net.py:7", "module": "`body.2`", "executed": "p = 0.5", "why": "It is random.",
    }  # fmt: skip
    assert fix == Code(text="nn.Dropout(0.5)", path="write instead")
    assert more == Facts(facts=(Fact(label="more", value="`pipetrace explain PTR101`"),))


def test_one_without_a_line_has_no_place():
    _, facts, *_ = findings.told([finding(file="", line=0, module="", text="")])
    assert isinstance(facts, Facts)
    assert "where" not in {fact.label for fact in facts.facts}


def test_notes_and_what_is_too_much_are_told_in_a_line_each():
    many = [finding(line=line) for line in range(1, findings.MOST + 3)]
    *full, rest = findings.told([*many, finding("note", line=90)])
    assert len(full) == 4 * findings.MOST
    assert full[4].text == f"2/{findings.MOST} PTR101 warning: It drops."
    assert isinstance(rest, Remarks)
    assert [remark.tone for remark in rest.remarks] == ["warning", "warning", "muted"]
    assert rest.remarks[-1].where == "/home/ada/net.py:90"


def found(each: list[Finding], silenced: int = 0, *strange: str) -> Judged:
    return Judged(each, silenced, list(strange))


def test_the_end_counts_what_is_left_out():
    told = findings.summary(recording(CALLS), found([], 1, "net.py:3: what."), hidden=2)
    assert told.startswith("No finding. 1 more is silenced by comments. 2 less grave ones are not")
    assert told.endswith(" net.py:3: what.")


def test_a_program_that_was_stopped_has_not_been_seen_whole():
    assert findings.cut(recording(CALLS, Ended(status="finished"))) == []
    evaluated = Calls(id=0, model=0, count=3, training=False, graph=False)
    told = findings.cut(recording(evaluated, Ended(status="stopped")))
    assert len(told) == 1
    trained = Calls(id=0, model=0, count=3, trained=3)
    assert "No evaluation" in findings.cut(recording(trained, Ended(status="stopped")))[1]


def test_the_end_says_what_was_asked_of_what_and_what_came_of_it():
    rules = f"{len(every_rule())} rule{'s' * (len(every_rule()) > 1)}"
    kinds = ("error", "warning", "warning", "advice", "note")
    told = findings.summary(recording(CALLS), found([finding(kind) for kind in kinds]))
    assert told == (
        "5 findings: 1 error, 2 warnings, 1 advice, 1 note. "
        f"{rules} asked of 3 calls of models."
    )  # fmt: skip
    none = Selection(ignore=("PTR",))
    assert findings.summary(recording(CALLS, none), found([])).startswith(
        "No finding. 0 rules asked"
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ((CALLS, Ended(status="finished")), []),
        ((CALLS, Ended(status="stopped")), []),
        ((CALLS, Ended(status="raised", code=1)), ["Only until it raised"]),
        ((CALLS, Ended(status="interrupted", code=130)), ["Only until it was interrupted"]),
        ((CALLS, Ended(status="finished", code=4)), ["Only until it ended with exit code 4"]),
        ((CALLS, Notice(id="observer", text="It gave up.")), ["It gave up."]),
        ((CALLS, Notice(id="other", text="A word.")), []),
        ((Capture(id=0, model=0, purpose="trace", training=True),), []),
        ((), ["No forward of a module"]),
    ],
)
def test_what_was_not_seen_is_said(facts, said):
    told = findings.incomplete(recording(*facts))
    assert len(told) == len(said)
    assert all(one.startswith(start) for one, start in zip(told, said, strict=True))


def test_a_page_has_the_section_where_a_loop_was_observed():
    def intro(*facts) -> list[str]:
        found = page(recording(*facts)).sections
        return [section.intro for section in found if section.id == "findings"]

    assert intro() == []
    (told,) = intro(CALLS)
    assert told.startswith("No finding.")
