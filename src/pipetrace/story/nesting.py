"""Operations are folded into their modules, and what repeats alike is told once, with its count."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from msgspec.structs import replace

from pipetrace.blocks import Fact, Stage
from pipetrace.records import Op
from pipetrace.story.costs import Cost, priced, repeated, step_cost
from pipetrace.story.figures import plural, shape, whole
from pipetrace.story.forwards import Forward, Step, entry

ALIKE = 3
"""From this many stages in a row that are alike on, they are rolled up."""
LONGEST = 12
"""So many stages in a row are tried as the body of a loop."""
TRIES = 32
"""So many places are tried where a second call of a module might begin."""


@dataclass(frozen=True)
class _Node:
    stage: Stage
    first: Op
    last: Op
    alike: int
    """The same for stages that differ in their numbers only."""
    cost: Cost
    path: str = ""
    """The module's path; empty for an operation of the module around it."""
    kind: str = ""
    inside: tuple[_Node, ...] = ()
    rolled: bool = False

    @property
    def below(self) -> bool:
        """Whether all of it belongs to modules below: the one around it adds nothing."""
        return bool(self.path) or (self.rolled and all(node.path for node in self.inside))


def nest(
    forward: Forward, steps: Sequence[Step], make: Callable[[Step], Stage], *, whole: bool
) -> list[Stage]:
    """Return stages with repeated ones rolled up.

    Args:
        forward: the captured forward that the steps belong to.
        steps: its operations with their views, in order.
        make: turns one step into its stage.
        whole: whether every module becomes a stage; else only what repeats is nested, where it
            has several operations.
    """
    nesting = _Nesting(forward, make, whole)
    nodes = nesting.nodes(steps, "")
    return [node.stage for node in (nodes if whole else _spread(nodes))]


def _spread(nodes: Sequence[_Node]) -> Iterator[_Node]:
    """Yield what is inside of modules that do not repeat."""
    for node in nodes:
        if node.inside and not node.rolled:
            yield from _spread(node.inside)
        else:
            yield node


class _Nesting:
    """The stages of one forward, as a tree."""

    def __init__(self, forward: Forward, make: Callable[[Step], Stage], whole: bool) -> None:
        self._forward = forward
        self._make = make
        self._whole = whole
        self._known: dict[Hashable, int] = {}

    def nodes(self, steps: Sequence[Step], prefix: str) -> list[_Node]:
        nodes: list[_Node] = []
        for path, members in runs(steps, prefix):
            if path is None or len(members) == 1:
                nodes += [self._single(step, path or "") for step in members]
                continue
            inside = self.nodes(members, path)
            if len(inside) == 1 and inside[0].below:
                nodes.append(inside[0])
            else:
                nodes.append(self._container(path, tuple(inside)))
        return self._rolled(nodes)

    def _same(self, *key: Hashable) -> int:
        return self._known.setdefault(key, len(self._known))

    def _single(self, step: Step, path: str) -> _Node:
        op = step.op
        sizes = tuple(tensor.shape for tensor in op.outputs)
        alike = self._same(op.function, op.module_type, _slot(path), op.input_shapes, sizes)
        kind = op.module_type if path else op.function
        return _Node(self._make(step), op, op, alike, step_cost(step), path, kind)

    def _container(self, path: str, inside: tuple[_Node, ...]) -> _Node:
        first, last = inside[0].first, inside[-1].last
        part = self._forward.parts.get(path)
        kind = part.type if part else path.rpartition(".")[2]
        cost = sum((node.cost for node in inside), Cost())
        held = self._forward.weights.get(path, 0)
        facts = (Fact(label="parameters", value=whole(held)),) if held else ()
        stage = Stage(
            id=f"capture-{first.capture}-ops-{first.index}-to-{last.index}",
            name=kind,
            words=f"Module `{path}`: {plural(cost.operations, 'operation')}.",
            mode=_mode(inside),
            shape=_shape(self._forward, first, last),
            facts=(*facts, *priced(cost)),
            tone=_tone(inside),
            stages=tuple(node.stage for node in inside),
        )
        # Two modules of one class that do the same are alike, wherever they are kept.
        alike = self._same(kind, tuple(node.alike for node in inside))
        return _Node(stage, first, last, alike, cost, path, kind, inside)

    def _rolled(self, nodes: Sequence[_Node]) -> list[_Node]:
        """Roll up what repeats: one stage again and again, or the body of a loop."""
        found: list[_Node] = []
        place = 0
        while place < len(nodes):
            length, times = self._repeat(nodes, place)
            if times < ALIKE:
                found.append(nodes[place])
                place += 1
                continue
            stop = place + length * times
            bodies = [nodes[at : at + length] for at in range(place, stop, length)]
            found.append(self._roll_up([self._body(body) for body in bodies]))
            place = stop
        return found

    def _repeat(self, nodes: Sequence[_Node], place: int) -> tuple[int, int]:
        """Return the shortest body that repeats from here on, and how often."""
        for length in range(1, (LONGEST if self._whole else 1) + 1):
            after = place + length
            if after >= len(nodes):
                break
            if nodes[place].alike != nodes[after].alike:
                continue
            # Where only what repeats is nested, single operations stand side by side.
            if not self._whole and not nodes[place].inside:
                continue
            while after < len(nodes) and nodes[after].alike == nodes[after - length].alike:
                after += 1
            times = (after - place) // length
            if times >= ALIKE:
                return length, times
        return 1, 1

    def _body(self, body: Sequence[_Node]) -> _Node:
        """Return one pass of a loop as a stage of its own."""
        if len(body) == 1:
            return body[0]
        first, last = body[0].first, body[-1].last
        kinds = [node.kind for node in body]
        named = ", ".join(kinds[:4]) + (f" and {len(kinds) - 4} more" if len(kinds) > 4 else "")
        cost = sum((node.cost for node in body), Cost())
        stage = Stage(
            id=f"capture-{first.capture}-pass-{first.index}-to-{last.index}",
            name=named,
            words=f"One pass: {plural(cost.operations, 'operation')}.",
            mode=_mode(body),
            shape=_shape(self._forward, first, last),
            facts=tuple(priced(cost)),
            tone=_tone(body),
            stages=tuple(node.stage for node in body),
        )
        alike = self._same("pass", tuple(node.alike for node in body))
        return _Node(stage, first, last, alike, cost, "", named, tuple(body))

    def _roll_up(self, members: Sequence[_Node]) -> _Node:
        first, last = members[0].first, members[-1].last
        costs = [node.cost for node in members]
        stage = Stage(
            id=f"capture-{first.capture}-ops-{first.index}-to-{last.index}-rolled",
            name=f"{len(members)} × {_called(members)}",
            words=_words(members, sum(costs, Cost()).operations),
            mode=_mode(members),
            shape=_shape(self._forward, first, last),
            facts=(*self._parameters(members), *repeated(costs)),
            tone=_tone(members),
            stages=tuple(_told_once(members)),
        )
        return _Node(
            stage,
            first,
            last,
            self._same("rolled", len(members), members[0].alike),
            sum(costs, Cost()),
            members[0].path if len(_paths(members)) == 1 else "",
            members[0].kind,
            tuple(members),
            rolled=True,
        )

    def _parameters(self, members: Sequence[_Node]) -> Iterator[Fact]:
        """Yield the parameters of one member and of all; shared ones are counted once."""
        paths = _paths(members)
        held = [self._forward.weights.get(path, 0) for path in paths]
        if not sum(held):
            return
        if len(paths) == 1:
            calls = f"shared by all {len(members)} calls"
            yield Fact(label="parameters", value=whole(held[0]), note=calls)
        else:
            each = f"{whole(held[0])} each, " if len(set(held)) == 1 else ""
            yield Fact(label="parameters", value=f"{each}{whole(sum(held))} in all")


def runs(steps: Sequence[Step], prefix: str) -> Iterator[tuple[str | None, Sequence[Step]]]:
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


def _slot(path: str) -> str:
    """Return a module's name; numbered ones come from one list and share a name."""
    last = path.rpartition(".")[2]
    return "#" if last.isdecimal() else last


def _paths(members: Sequence[_Node]) -> list[str]:
    return list(dict.fromkeys(node.path for node in members))


def _called(members: Sequence[_Node]) -> str:
    """Name what is rolled up: its class, and where it is kept or how often it was called."""
    kind, paths = members[0].kind, _paths(members)
    if len(paths) > 1:
        return f"{kind} ({paths[0]} … {paths[-1]})"
    if paths[0]:
        return f"{kind} ({paths[0]}, called {len(members)} times)"
    return f"({kind})" if len(members[0].inside) > 1 else kind


def _words(members: Sequence[_Node], operations: int) -> str:
    paths = _paths(members)
    counts = [node.cost.operations for node in members]
    low, high = min(counts), max(counts)
    # The views behind the last operation of a member are told with it.
    same = "the same " if low == high else f"{low} to "
    each = f"{same}{plural(high, 'operation')}"
    if len(paths) > 1:
        where = f"`{paths[0]}` to `{paths[-1]}`, one after the other"
    elif paths[0]:
        where = f"`{paths[0]}`, called {len(members)} times with the same weights"
    else:
        where = f"The same sequence {len(members)} times, one after the other"
    return f"{where}: {each} each, {whole(operations)} in all."


def _told_once(members: Sequence[_Node]) -> Iterator[Stage]:
    """Yield the stages of the members; one is alike where it stands as well as the one before."""
    tone = ""
    for node in members:
        again = node.stage.tone == tone != "bad"
        yield replace(node.stage, alike=True) if again else node.stage
        tone = node.stage.tone


def _mode(nodes: Sequence[_Node]) -> str:
    modes = {node.stage.mode for node in nodes}
    return modes.pop() if len(modes) == 1 else ""


def _tone(nodes: Sequence[_Node]) -> str:
    tones = {node.stage.tone for node in nodes}
    return next((tone for tone in ("bad", "warning") if tone in tones), "plain")


def _shape(forward: Forward, first: Op, last: Op) -> str:
    given = entry(forward, first, last)
    after = shape(last.outputs[0].shape) if last.outputs else ""
    return f"{shape(given)} → {after}" if given is not None else f"→ {after}"
