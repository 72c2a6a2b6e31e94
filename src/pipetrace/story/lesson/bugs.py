"""Silent bugs as programs: what is wrong, what a check finds, how to mend it, what is left."""

from __future__ import annotations

from pipetrace.blocks import AnyBlock, Code, Fact, Facts, Step, Steps, Tab, Tabs, Text
from pipetrace.lessons.taught import Bug, Taught
from pipetrace.story.explaining import program
from pipetrace.story.figures import plural

_WAIT = "The programs are being run: they appear here by themselves."


def blocks(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return the programs of a lesson, one shown at a time."""
    if not taught.bugs:
        return (Text(text=_WAIT, tone="muted"),) if "checks" in taught.pending else ()
    tabs = tuple(
        Tab(id=bug.rule, label=f"Program {number}", blocks=(_steps(bug),))
        for number, bug in enumerate(taught.bugs, start=1)
    )
    return (Tabs(title="Programs with a silent bug", tabs=tabs),)


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
                    Text(text=f"In the program these lines differ from the mended one: "
                         f"{', '.join(map(str, mark.marks)) or 'several'}. Write instead:"),
                    Code(text=bug.fix),
                    program(bug.mended, bug.code),
                ),
            ),
            Step(label="Run the mended program", blocks=left(bug), again=f"{bug.rule}/silent"),
        ),
    )  # fmt: skip
