"""What operations cost: parameters, FLOPs, bytes, each known or said to be unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipetrace.blocks import Fact
from pipetrace.records import Op
from pipetrace.story.figures import plural, size, whole
from pipetrace.story.forwards import Forward, Step


@dataclass(frozen=True)
class Cost:
    """What some operations cost together."""

    operations: int = 0
    flops: int = 0
    """Of those operations whose count is known."""
    unknown: int = 0
    """Operations whose FLOPs are not known."""
    opaque: int = 0
    memory: int = 0
    saved: int = 0
    unmeasured: int = 0
    """Operations of which it was not measured what they keep for a backward."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.operations + other.operations,
            self.flops + other.flops,
            self.unknown + other.unknown,
            self.opaque + other.opaque,
            self.memory + other.memory,
            self.saved + other.saved,
            self.unmeasured + other.unmeasured,
        )


def cost(ops: Iterable[Op]) -> Cost:
    """Add up what operations cost."""
    found = list(ops)
    return Cost(
        operations=len(found),
        flops=sum(op.flops or 0 for op in found),
        unknown=sum(op.flops is None for op in found),
        opaque=sum(bool(op.opaque) for op in found),
        memory=sum(op.memory for op in found),
        saved=sum(op.saved or 0 for op in found),
        unmeasured=sum(op.saved is None for op in found),
    )


def step_cost(step: Step) -> Cost:
    """Add up what an operation costs with the views and the counting that belong to it."""
    return cost((*step.before, step.op, *step.views))


def priced(found: Cost) -> Iterable[Fact]:
    """Yield the costs of a stage, in one line; nothing where it costs nothing that is counted.

    >>> [fact.value for fact in priced(Cost(operations=1, flops=12800, memory=1280, saved=2560))]
    ['12,800 FLOPs; 1280 bytes of output; 2560 bytes kept for backward']
    >>> [fact.value for fact in priced(Cost(operations=1, unknown=1, memory=1280))]
    ['FLOPs not known; 1280 bytes of output']
    """
    parts = [counted(found)] if found.flops or found.unknown else []
    if found.memory:
        parts.append(f"{size(found.memory)} of output")
    if found.saved:
        parts.append(f"{size(found.saved)} kept for backward")
    if parts:
        yield Fact(label="cost", value="; ".join(parts))


def repeated(members: Sequence[Cost]) -> Iterable[Fact]:
    """Yield the costs of stages that are alike: of each, and of all of them."""
    total = sum(members, Cost())
    if total.flops or total.unknown:
        one = {(each.flops, each.unknown) for each in members}
        if total.unknown:
            yield Fact(label="FLOPs", value=f"{counted(total)}, in all")
        else:
            each = f"{whole(members[0].flops)} each, " if len(one) == 1 else ""
            yield Fact(label="FLOPs", value=f"{each}{whole(total.flops)} in all")
    for label, found in (
        ("bytes of output", [each.memory for each in members]),
        ("kept for backward", [each.saved for each in members]),
    ):
        if sum(found):
            low, high = size(min(found)), size(max(found))
            each = low if low == high else f"{low} to {high}"
            yield Fact(label=label, value=f"{each} each, {size(sum(found))} in all")


def counted(found: Cost) -> str:
    """Write FLOPs: exact, or known in part, or not known.

    >>> counted(Cost(operations=2, flops=14720)), counted(Cost(operations=1, unknown=1))
    ('14,720 FLOPs', 'FLOPs not known')
    >>> counted(Cost(operations=3, flops=14720, unknown=1))
    '14,720 FLOPs and those of 1 operation, which are not known'
    """
    if found.unknown and not found.flops:
        return "FLOPs not known"
    known = plural(found.flops, "FLOP")
    if not found.unknown:
        return known
    which = "which are not known"
    return f"{known} and those of {plural(found.unknown, 'operation')}, {which}"


def totals(forward: Forward) -> str:
    """Say in one sentence what a forward costs as a whole, or up to where it failed."""
    found = cost(forward.ops)
    if not found.operations:
        return ""
    parts = [plural(forward.model.parameters, "parameter")] if forward.model else []
    parts.append(plural(found.operations, "operation"))
    if found.opaque:
        parts[-1] += f" ({whole(found.opaque)} opaque)"
    exact = " in products of matrices, exact by formula" if not found.unknown else ""
    parts.append(f"{counted(found)}{exact}")
    if found.unmeasured:
        parts.append("bytes kept for backward not measured")
    else:
        parts.append(f"{size(found.saved)} of activations kept for backward")
    start = "In all" if forward.capture.complete else "Up to there"
    return f"{start}: {'; '.join(parts)}."
