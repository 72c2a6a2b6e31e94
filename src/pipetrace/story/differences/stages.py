"""The models of two runs and the ops of their first forwards, paired by where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from msgspec.msgpack import encode

from pipetrace.blocks import AnyBlock, Text
from pipetrace.records import Model, ModulePart, Op, Tensor
from pipetrace.story.differences.pair import Finding, Pair, Told, against, differing, same, table
from pipetrace.story.figures import listing, plural, shape, whole
from pipetrace.story.forwards import Forward
from pipetrace.story.registry import Content
from pipetrace.tracefile import Recording

PAIRS = 4_000_000
"""More ways to pair equal places than this are not tried: equal ones are counted off."""
STATISTICS = {
    "mean": "mean", "std": "standard deviation", "minimum": "smallest value",
    "maximum": "largest value", "zeros": "share of zeros", "nans": "count of NaN",
    "infinities": "count of infinities",
}  # fmt: skip
Paired = tuple[Op | None, Op | None]


def model(pair: Pair) -> Content | None:
    """Tell which modules differ, by their paths."""
    a, b = modules(pair.a), modules(pair.b)
    if not a and not b:
        return None
    rows = differing(a, b)
    if rows:
        return Content(blocks=(table(("module", "A", "B"), rows),), title="Modules that differ")
    words = f"The same {plural(len(a), 'module')} with as many parameters in both."
    return Content(blocks=(Text(text=words),))


def same_model(pair: Pair) -> Finding:
    """Compare types, modules and parameter counts of the models."""
    a, b = modules(pair.a), modules(pair.b)
    label = "model as built"
    if not a or not b:
        missing = "neither run" if not a and not b else "B" if a else "A"
        return Finding(label, None, f"no model was seen in {missing}")
    rows = differing(a, b)
    if not rows:
        return Finding(label, True, plural(len(a), "module"))
    name, one, two = rows[0]
    words = f"{name}: {one} against {two}"
    return Finding(label, False, words)


def modules(recording: Recording) -> Told:
    """Return each module of each model in words, by its path."""
    told: Told = {}
    for number, item in enumerate(recording.all(Model), 1):
        root = f"model {number}" if number > 1 else "the model"
        frozen = item.parameters - item.trainable
        told[root] = f"{item.type}, {plural(item.parameters, 'parameter')}" + (
            f", {whole(frozen)} of them frozen" if frozen else ""
        )
        told |= {f"{root}, {part.path}": _module(part) for part in item.modules if part.path}
    return told


def _module(part: ModulePart) -> str:
    detail = f"({part.detail})" if part.detail else ""
    count = f", {plural(part.parameters, 'parameter')}" if part.parameters else ""
    return f"{part.type}{detail}{count}"


def stages(pair: Pair) -> Content | None:
    """Tell which ops of the first forwards are here or there only, or differ at their place."""
    a, b = pair.forwards
    if a is None or b is None:
        return None
    paired = aligned(a.ops, b.ops)
    rows = [row for one, two in paired if (row := _row(one, two))]
    both = [(one, two) for one, two in paired if one and two]
    here, there = len(a.ops) - len(both), len(b.ops) - len(both)
    other = sum(bool(_built(one, two)) for one, two in both)
    moved = sum(bool(changed(one, two)) for one, two in both)
    counts = {"only in A": here, "only in B": there,
              "called with another mode, argument or shape": other,
              "with other values": moved}  # fmt: skip
    found = listing(f"{count} {words}" for words, count in counts.items() if count)
    words = (
        f"{_named(a, 'A')}; {_named(b, 'B')}; {plural(len(both), 'op')} at the same place in "
        f"both, by module, call and function. {found or 'None differs'}."
    )
    blocks: list[AnyBlock] = [Text(text=words)]
    if rows:
        blocks.append(table(("A", "B", "module", "function", "what differs"), rows, (0, 1)))
    sampled = sum(not all(out.exact for out in one.outputs) for one, _ in both)
    if sampled:
        words = (f"Of {plural(sampled, 'op')} only a sample of the values was compared; the "
                 "others exactly.")  # fmt: skip
        blocks.append(Text(text=words, tone="muted"))
    return Content(blocks=tuple(blocks), title=f"Stages, {plural(len(paired), 'op')}")


def same_forward(pair: Pair) -> Finding:
    """Find the first input or op of the first forwards whose recorded values differ."""
    a, b = pair.forwards
    label = "first forward"
    if a is None or b is None:
        missing = "neither run" if a is b else "A" if a is None else "B"
        return Finding(label, None, f"no forward was captured in {missing}")
    if a.capture.purpose != b.capture.purpose:
        words = f"one is of {a.capture.purpose}, the other of {b.capture.purpose}"
        return Finding(label, None, words)
    if a.capture.training != b.capture.training:
        words = " against ".join(_mode(item.capture.training) for item in (a, b))
        return Finding(label, False, words, f"the first forward: {words}")
    for (name, one), (_, two) in zip(a.capture.inputs, b.capture.inputs, strict=False):
        words = tensors(one, two)
        if words:
            words = f"its {name if name == 'input' else f'input {name}'}: {words}"
            return Finding(label, False, words, f"the first forward: {words}")
    if not a.ops or not b.ops:
        missing = "A" if b.ops else "B" if a.ops else "either run"
        return Finding(label, None, f"no operation was captured in {missing}")
    for here, there in aligned(a.ops, b.ops):
        words, op = difference(here, there), here or there
        if words and op:
            where = f"op {op.index} ({op.function}{f' in {op.module}' if op.module else ''})"
            words = f"{where}: {words}"
            return Finding(label, False, words, f"{words}, in the first forward")
    sampled = sum(not all(out.exact for out in op.outputs) for op in a.ops)
    kept = f"from samples for {sampled} of them" if sampled else "over all values"
    return Finding(label, True, f"{plural(len(a.ops), 'op')}, statistics {kept}")


def aligned(a: Sequence[Op], b: Sequence[Op]) -> list[Paired]:
    """Pair the ops of two forwards by module path, call and function.

    >>> ops = [Op(capture=0, index=at, function=name) for at, name in enumerate(("linear", "relu"))]
    >>> [(one and one.index, two and two.index) for one, two in aligned(ops, ops[1:])]
    [(0, None), (1, 1)]
    """
    places: list[list[tuple[Hashable, ...]]] = [
        [(op.module, op.call, op.function) for op in ops] for ops in (a, b)
    ]
    counts = [Counter(keys) for keys in places]
    if sum(counts[0][key] * counts[1][key] for key in counts[0]) > PAIRS:
        places = [list(_numbered(keys)) for keys in places]
    paired: list[Paired] = []
    for step, i, j, k, m in SequenceMatcher(None, places[0], places[1], False).get_opcodes():
        if step == "equal":
            paired += list(zip(a[i:j], b[k:m], strict=True))
        else:
            paired += [(op, None) for op in a[i:j]] + [(None, op) for op in b[k:m]]
    return paired


def tensors(a: Tensor, b: Tensor) -> str:
    """Say the first thing recorded of two tensors that differs, else nothing.

    >>> one = Tensor(shape=(2,), dtype="float32", count=2, mean=0.5)
    >>> tensors(one, Tensor(shape=(2,), dtype="float32", count=2, mean=0.25))
    'mean 0.5 against 0.25'
    """
    if a.shape != b.shape:
        return f"shape {shape(a.shape)} against {shape(b.shape)}"
    if a.dtype != b.dtype or a.device != b.device:
        return f"{a.dtype} on {a.device} against {b.dtype} on {b.device}"
    sampled = "" if a.exact and b.exact else f" (of {whole(a.count)} values, a sample)"
    for field, words in STATISTICS.items():
        one, two = getattr(a, field), getattr(b, field)
        if not same(one, two) and one is not None and two is not None:
            return f"{words} {against(one, two)}{sampled}"
    for at, (one, two) in enumerate(zip(a.row, b.row, strict=False)):
        if not same(one, two):
            return f"value {at} of the sample's row {against(one, two)}"
    return ""


def difference(a: Op | None, b: Op | None) -> str:
    """Say how two ops at the same place differ, else nothing; None where a run has no such op."""
    if a is None or b is None:
        return "only in A" if a else "only in B"
    return _built(a, b) or changed(a, b)


def changed(a: Op, b: Op) -> str:
    """Say the first difference of what two ops gave: their masks, then their outputs."""
    if a.mask and b.mask and encode(a.mask) != encode(b.mask):
        if a.mask.kept != b.mask.kept:
            return f"its mask kept {whole(a.mask.kept)} against {whole(b.mask.kept)}"
        return "its mask kept other elements"
    found = (tensors(one, two) for one, two in zip(a.outputs, b.outputs, strict=False))
    return next(filter(None, found), "")


def _built(a: Op, b: Op) -> str:
    """Say in what two ops were called differently: mode, arguments, shapes."""
    found = []
    if a.training != b.training:
        found.append(f"{_mode(a.training)} against {_mode(b.training)}")
    given = [{item.name: item.value for item in op.arguments} for op in (a, b)]
    found += [f"{name}={one} against {two}" for name, one, two in differing(*given)]
    if a.input_shapes != b.input_shapes:
        pairs = zip_longest(a.input_shapes, b.input_shapes)
        one, two = next((x, y) for x, y in pairs if x != y)
        found.append(f"takes {_shape(one)} against {_shape(two)}")
    shapes = [[out.shape for out in op.outputs] for op in (a, b)]
    if shapes[0] != shapes[1]:
        one, two = next((x, y) for x, y in zip_longest(*shapes) if x != y)
        found.append(f"gives {_shape(one)} against {_shape(two)}")
    return "; ".join(found)


def _row(one: Op | None, two: Op | None) -> tuple[str, ...] | None:
    words, op = difference(one, two), one or two
    if not words or op is None:
        return None
    places = ("" if side is None else str(side.index) for side in (one, two))
    return (*places, op.module, op.function, words)


def _numbered(keys: Iterable[tuple[Hashable, ...]]) -> Iterator[tuple[Hashable, ...]]:
    seen: Counter[tuple[Hashable, ...]] = Counter()
    for key in keys:
        seen[key] += 1
        yield (*key, seen[key])


def _named(forward: Forward, run: str) -> str:
    return f"{run}: {forward.capture.purpose} forward, {plural(len(forward.ops), 'op')}"


def _mode(training: bool | None) -> str:
    return {True: "train mode", False: "eval mode", None: "no mode"}[training]


def _shape(sizes: tuple[int, ...] | None) -> str:
    return "nothing" if sizes is None else shape(sizes)
