"""Many operations are folded into their modules, and equal modules in a row into one stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pipetrace.blocks import Fact, Stage
from pipetrace.records import Op
from pipetrace.story.figures import plural, shape, whole
from pipetrace.story.forwards import Forward, Step

ALIKE = 3
"""From this many equal modules in a row on, they are rolled up."""
TRIES = 32
"""So many places are tried where a second call of a module might begin."""


@dataclass(frozen=True)
class _Node:
    stage: Stage
    first: Op
    last: Op
    path: str = ""
    """The module's path; empty for a single operation."""
    alike: str = ""
    """What neighbours must share to be rolled up with it; empty for never."""
    kind: str = ""
    operations: int = 1


def nest(
    forward: Forward, steps: Sequence[Step], make: Callable[[Step], Stage]
) -> tuple[Stage, ...]:
    """Return stages nested by module path, with equal siblings rolled up.

    Args:
        forward: the captured forward that the steps belong to.
        steps: its operations with their views, in order.
        make: turns one step into its stage.
    """
    return tuple(node.stage for node in _nodes(forward, steps, "", make))


def _nodes(
    forward: Forward, steps: Sequence[Step], prefix: str, make: Callable[[Step], Stage]
) -> list[_Node]:
    nodes: list[_Node] = []
    for path, members in _runs(steps, prefix):
        if path is None or len(members) == 1:
            alike = path or ""
            nodes += [
                _Node(make(step), step.op, step.op, alike=alike, kind=step.op.module_type)
                for step in members
            ]
            continue
        inside = _nodes(forward, members, path, make)
        if len(inside) == 1 and inside[0].path:
            nodes.append(inside[0])
        else:
            nodes.append(_container(forward, path, inside))
    return list(_rolled(forward, nodes))


def _runs(steps: Sequence[Step], prefix: str) -> Iterator[tuple[str | None, Sequence[Step]]]:
    """Cut steps into calls of the children of `prefix`; its own operations have no child."""
    for path, group in groupby(steps, key=lambda step: _child(step.op.module, prefix)):
        members = list(group)
        length = len(members) if path is None else _period(members)
        for start in range(0, len(members), length):
            yield path, members[start : start + length]


def _child(module: str, prefix: str) -> str | None:
    if module == prefix:
        return None
    start = len(prefix) + 1 if prefix else 0
    end = module.find(".", start)
    return module if end < 0 else module[:end]


def _period(steps: Sequence[Step]) -> int:
    """Return how many operations one call of a module has, where it was called again and again.

    A module inside it may be called twice as well: only a whole sequence that repeats counts.
    """
    modules = [step.op.module for step in steps]
    first = steps[0].op
    tried = 0
    for length, step in enumerate(steps):
        if step.op.module == first.module and step.op.call != first.call:
            if modules[length:] == modules[:-length]:
                return length
            tried += 1
            if tried == TRIES:
                break
    return len(steps)


def _container(forward: Forward, path: str, inside: Sequence[_Node]) -> _Node:
    first, last = inside[0].first, inside[-1].last
    part = forward.parts.get(path)
    kind = part.type if part else path.rpartition(".")[2]
    operations = sum(node.operations for node in inside)
    held = forward.weights.get(path, 0)
    facts = (Fact(label="parameters", value=whole(held)),) if held else ()
    stage = Stage(
        id=f"capture-{first.capture}-ops-{first.index}-to-{last.index}",
        name=kind,
        words=f"Module `{path}`: {plural(operations, 'operation')}.",
        mode=inside[0].stage.mode if len({node.stage.mode for node in inside}) == 1 else "",
        shape=_shape(first, last),
        facts=facts,
        tone="warning" if any(node.stage.tone == "warning" for node in inside) else "plain",
        stages=tuple(node.stage for node in inside),
    )
    # Numbered siblings come from a list of modules; others are alike only to their own next call.
    alike = kind if path.rpartition(".")[2].isdecimal() else path
    return _Node(stage, first, last, path, alike, kind, operations)


def _rolled(forward: Forward, nodes: Iterable[_Node]) -> Iterable[_Node]:
    for alike, group in groupby(nodes, key=lambda node: node.alike):
        members = list(group)
        if not alike or len(members) < ALIKE:
            yield from members
        else:
            yield _roll_up(forward, members)


def _roll_up(forward: Forward, members: Sequence[_Node]) -> _Node:
    first, last = members[0].first, members[-1].last
    operations = sum(node.operations for node in members)
    paths = list(dict.fromkeys(node.path or node.first.module for node in members))
    held = sum(forward.weights.get(path, 0) for path in paths)
    where = (
        f"`{paths[0]}` to `{paths[-1]}`, one after the other"
        if len(paths) > 1
        else f"`{paths[0]}`, called {len(members)} times with the same weights"
    )
    stage = Stage(
        id=f"capture-{first.capture}-ops-{first.index}-to-{last.index}-rolled",
        name=f"{len(members)} × {members[0].kind}",
        words=f"{where}: {plural(operations, 'operation')}.",
        mode=members[0].stage.mode if len({node.stage.mode for node in members}) == 1 else "",
        shape=_shape(first, last),
        facts=(Fact(label="parameters", value=whole(held)),) if held else (),
        tone="warning" if any(node.stage.tone == "warning" for node in members) else "plain",
        stages=tuple(node.stage for node in members),
    )
    return _Node(stage, first, last, paths[0], "", "", operations)


def _shape(first: Op, last: Op) -> str:
    before = shape(first.input_shapes[0]) if first.input_shapes else ""
    after = shape(last.outputs[0].shape) if last.outputs else ""
    return f"{before} → {after}" if before else f"→ {after}"
