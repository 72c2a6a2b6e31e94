"""Silent bugs as programs: what is wrong, what a check finds, how to mend it, what is left."""

from __future__ import annotations

from pipetrace.blocks import AnyBlock, Code, Crash, Fact, Facts, Step, Steps, Tab, Tabs, Text
from pipetrace.lessons.taught import Bug, Taught
from pipetrace.story.explaining import program
from pipetrace.story.figures import listing, plural

_WAIT = "The programs are being run: they appear here by themselves."


def blocks(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return the programs of a lesson, one shown at a time."""
    failed = taught.failed.get("checks", "")
    crashed = (Crash(title="A program could not be checked", text=failed),) if failed else ()
    if not taught.bugs:
        waits = (Text(text=_WAIT, tone="muted"),) if "checks" in taught.pending else ()
        return crashed or waits
    tabs = tuple(
        Tab(id=bug.rule, label=f"Program {number}", blocks=(_steps(bug),))
        for number, bug in enumerate(taught.bugs, start=1)
    )
    return (Tabs(title="Programs with a silent bug", tabs=tabs), *crashed)


def found(bug: Bug) -> tuple[AnyBlock, ...]:
    """Return what a check found in the program that has the bug."""
    return (
        Text(text=f"{bug.rule}, line {bug.line}: {bug.message}", tone="bad"),
        Facts(
            facts=(
                Fact(label="measured", value=bug.evidence),
                Fact(label="rule", value=bug.title),
                Fact(label="why", value=bug.why),
            )
        ),
    )


def left(bug: Bug) -> tuple[AnyBlock, ...]:
    """Return what a check found in the mended program."""
    if not bug.left:
        return (Text(text=f"{bug.rule} finds nothing any more.", tone="good"),)
    return (Text(text=f"{plural(bug.left, 'finding')} of {bug.rule} are left.", tone="bad"),)


def _lines(marks: tuple[int, ...]) -> str:
    """Name lines.

    >>> _lines((3,)), _lines((3, 4)), _lines(())
    ('line 3', 'lines 3 and 4', 'a line less')
    """
    if not marks:
        return "a line less"
    return f"line{'s' * (len(marks) > 1)} {listing(map(str, marks))}"


def _steps(bug: Bug) -> Steps:
    mark = program(bug.code, bug.mended)
    return Steps(
        title="Which line is it?",
        blocks=(
            Text(text="Read the program: it runs to its end, and one line is wrong all the same."),
            Code(text=bug.code),
        ),
        steps=(
            Step(label="Run the check", blocks=found(bug), again=f"{bug.rule}/fires"),
            Step(
                label="Mend it",
                blocks=(
                    Text(text=f"The fix, and the program with it; changed is what is marked. It "
                         f"was {_lines(mark.marks)}."),
                    Code(text=bug.fix),
                    program(bug.mended, bug.code),
                ),
            ),
            Step(label="Run the mended program", blocks=left(bug), again=f"{bug.rule}/mended"),
        ),
    )  # fmt: skip
