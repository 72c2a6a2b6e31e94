"""What feeds what in a forward: modules that can be folded, operations as leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipetrace.blocks import Graph, Node
from pipetrace.records import Op
from pipetrace.story.figures import plural, shape
from pipetrace.story.forwards import Forward, Step, entry, fold, name
from pipetrace.story.nesting import runs

LEAVES = 2_000
"""Of more operations modules are the leaves, as deep inside as there is room for."""


def graph(forward: Forward) -> Graph | None:
    """Return the operations of a forward with what feeds each; views are passed through.

    Args:
        forward: the captured forward.
    """
    _, steps = fold(forward.ops)
    if not steps:
        return None
    levels = _levels(steps)
    made = _Graph(forward, steps, levels)
    note = f"{plural(len(steps), 'operation')}; views of the same values are left out"
    if levels is not None:
        note += f"; modules more than {plural(levels, 'level')} deep are not unfolded"
    title = f"Graph of {forward.model.type if forward.model else 'the model'}"
    return Graph(title=title, nodes=(*made.inputs(), *made.nodes), note=f"{note}.")


def _levels(steps: Sequence[Step]) -> int | None:
    """Return how many levels of modules can be unfolded; None for all."""
    if len(steps) <= LEAVES:
        return None
    levels = 1
    while _count(steps, "", levels + 1) <= LEAVES:
        levels += 1
    return levels


def _count(steps: Sequence[Step], prefix: str, levels: int) -> int:
    """Count the leaves where only so many levels are unfolded."""
    found = 0
    for path, members in runs(steps, prefix):
        if path is None or len(members) == 1:
            found += len(members)
        else:
            found += _count(members, path, levels - 1) if levels > 1 else 1
    return found


class _Graph:
    """The nodes of one forward, as a tree."""

    def __init__(self, forward: Forward, steps: Sequence[Step], levels: int | None) -> None:
        self._forward = forward
        self._levels = levels
        self._leaf: dict[int, str] = {}
        """Where the output of each operation comes from: the id of a leaf."""
        self._tell(steps, "", 1)
        self.nodes = tuple(self._nodes(steps, "", 1))

    def inputs(self) -> Iterator[Node]:
        """Yield a leaf for each input."""
        for label, tensor in self._forward.capture.inputs:
            yield Node(id=_input(label), name=f"Input {label}".removesuffix(" input"),
                       shape=shape(tensor.shape))  # fmt: skip

    def _tell(self, steps: Sequence[Step], prefix: str, level: int) -> None:
        """Name the leaf of every operation first: a later one may feed a loop's earlier ones."""
        for path, members in runs(steps, prefix):
            closed = path is not None and level == self._levels
            if closed or path is None or len(members) == 1:
                for step in members:
                    first = members[0] if closed else step
                    self._leaf[step.op.index] = _id("module" if closed else "op", first.op)
            else:
                self._tell(members, path, level + 1)

    def _nodes(self, steps: Sequence[Step], prefix: str, level: int) -> Iterator[Node]:
        for path, members in runs(steps, prefix):
            if path is None or len(members) == 1:
                yield from (self._single(step) for step in members)
            elif level == self._levels:
                yield self._module(path, members, (), self._sources(members))
            else:
                inside = tuple(self._nodes(members, path, level + 1))
                only = inside[0] if len(inside) == 1 else None
                yield only if only and only.nodes else self._module(path, members, inside, ())

    def _single(self, step: Step) -> Node:
        op, sources = step.op, self._sources([step])
        given = entry(self._forward, op, op)
        after = shape(op.outputs[0].shape) if op.outputs else ""
        known = self._forward.broken
        return Node(
            id=_id("op", op),
            name=name(self._forward, op),
            words=f"`{op.module}`" if op.module else "",
            shape=f"{shape(given)} → {after}" if given is not None else f"→ {after}",
            sources=sources,
            tone="bad" if known and known.op == op.index else "plain",
        )

    def _module(
        self, path: str, members: Sequence[Step], inside: tuple[Node, ...],
        sources: tuple[str, ...],
    ) -> Node:  # fmt: skip
        first, last = members[0].op, members[-1].op
        part = self._forward.parts.get(path)
        kind = part.type if part else path.rpartition(".")[2]
        held = self._forward.weights.get(path, 0)
        count = plural(len(members), "operation")
        words = f"{count}, {plural(held, 'parameter')}" if held else count
        given = entry(self._forward, first, last)
        after = shape(last.outputs[0].shape) if last.outputs else ""
        return Node(
            id=_id("module" if sources or not inside else "modules", first, path),
            name=f"{kind} ({path})",
            words=words,
            shape=f"{shape(given)} → {after}" if given is not None else f"→ {after}",
            nodes=inside,
            sources=sources,
        )

    def _sources(self, steps: Sequence[Step]) -> tuple[str, ...]:
        """Return the leaves that feed operations from outside of them."""
        own = {self._leaf[step.op.index] for step in steps}
        found: dict[str, None] = {}
        for step in steps:
            for origin in self._origins(step.op):
                if origin not in own or len(steps) == 1:
                    found[origin] = None
        return tuple(found)

    def _origins(self, op: Op) -> Iterator[str]:
        """Yield the leaves and inputs that an operation takes, past views."""
        waiting, seen = list(op.inputs), set()
        while waiting:
            link = waiting.pop(0)
            if link.source == "input":
                yield _input(link.name)
            if link.source != "op" or link.index is None or link.index in seen:
                continue
            seen.add(link.index)
            if link.index in self._leaf:
                yield self._leaf[link.index]
            elif link.index < len(self._forward.ops):
                waiting += self._forward.ops[link.index].inputs


def _id(kind: str, op: Op, path: str = "") -> str:
    return f"{kind}-{op.index}-{path}" if path and kind == "modules" else f"{kind}-{op.index}"


def _input(label: str) -> str:
    return f"input-{label}"
