"""One captured forward becomes stages: the input, then one for each operation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from pipetrace.blocks import Fact, Stage, Strip
from pipetrace.records import Dataset, Failure, Op, Tensor
from pipetrace.story.figures import (
    expected,
    kept,
    number,
    percent,
    plural,
    setting,
    shape,
    whole,
    whole_number,
)
from pipetrace.story.forwards import Forward, Step, fold, name, source, spot, spots
from pipetrace.story.nesting import nest
from pipetrace.story.words import call, describe

FLAT = 40
"""Up to this many operations stand side by side; more are folded by module."""
_MODES = {True: "train mode", False: "eval mode", None: ""}


def stages(forward: Forward, failure: Failure | None = None) -> tuple[Stage, ...]:
    """Return the stages of a forward: the input, the operations, and what failed.

    Args:
        forward: the captured forward.
        failure: the exception, shown as the last stage where the forward did not complete.
    """
    leading, steps = fold(forward.ops)
    found = [_input(forward, leading)]
    if len(steps) <= FLAT:
        found += [_stage(forward, step) for step in steps]
    else:
        found += nest(forward, steps, partial(_stage, forward))
    if not forward.capture.complete:
        found.append(_failed(forward, failure))
    elif steps and not found[-1].stages and _gives_output(forward, steps[-1]):
        found[-1] = _output(forward, found[-1])
    return tuple(found)


def statistics(tensor: Tensor, label: str) -> tuple[Fact, ...]:
    """Return a tensor's statistics under a label, told apart as exact or sampled."""
    size = math.prod(tensor.shape)
    if not tensor.count or size < 2:
        return ()
    values = plural(size, "value")
    note = (
        f"exact, over {values}" if tensor.exact else f"sampled, {whole(tensor.count)} of {values}"
    )
    if tensor.nans or tensor.infinities:
        note += ", finite ones only"
    write = whole_number if tensor.dtype.startswith(("int", "uint", "bool")) else number
    parts = []
    if tensor.mean is not None and tensor.std is not None:
        parts += [f"mean {number(tensor.mean)}", f"standard deviation {number(tensor.std)}"]
    if tensor.minimum is not None and tensor.maximum is not None:
        parts.append(f"from {write(tensor.minimum)} to {write(tensor.maximum)}")
    if tensor.zeros:
        parts.append(f"{percent(tensor.zeros)} zeros")
    facts = [Fact(label=label, value="; ".join(parts), note=note)] if parts else []
    if tensor.nans or tensor.infinities:
        bad = f"{whole(tensor.nans)} NaN, {whole(tensor.infinities)} infinite"
        facts.append(Fact(label=f"{label}, not numbers", value=bad, note=note))
    return tuple(facts)


def values(forward: Forward, label: str, tensor: Tensor, struck: tuple[bool, ...] = ()) -> Strip:
    """Return the recorded values of the sample's row of a tensor."""
    shown = tensor.row
    whose = _whose(forward, tensor)
    total = tensor.row_count if tensor.row_count > len(shown) else 0
    return Strip(label=f"{label}, {whose}", values=shown, struck=struck[: len(shown)], total=total)


def _whose(forward: Forward, tensor: Tensor) -> str:
    rows = forward.capture.rows
    return f"row {forward.capture.sample}" if tensor.shape[:1] == (rows,) else "first values"


def _then(views: Sequence[Op]) -> tuple[Fact, ...]:
    shown = [
        Fact(label="then", value=f"`{call(op)}` {_change(op)}", note="the same values")
        for op in views[:4]
    ]
    if len(views) > 4:
        shown.append(Fact(label="then", value=f"{len(views) - 4} more views of the same values"))
    return tuple(shown)


def _counted(ops: Sequence[Op]) -> Iterator[Fact]:
    for op in ops:
        yield Fact(label="also", value=f"`{call(op)}` on the buffer `{op.inputs[0].name}`")


def _change(op: Op) -> str:
    before = shape(op.input_shapes[0]) if op.input_shapes else ""
    after = shape(op.outputs[0].shape) if op.outputs else ""
    return f"{before} → {after}" if before else f"→ {after}"


def _input(forward: Forward, views: tuple[Op, ...]) -> Stage:
    capture, data = forward.capture, forward.data
    tensors = capture.inputs
    sized = data and data.rows and capture.purpose != "prediction"
    words = [_rows(data)] if data and sized else []
    if capture.complete or tensors:
        words.append(_arrived(forward))
    if not forward.values:
        words.append("Rows of real values were left out of the file.")
    facts: list[Fact] = []
    for argument, tensor in tensors:
        found = statistics(tensor, argument)
        if len(tensors) > 1:
            size = Fact(label=f"{argument}, shape", value=shape(tensor.shape), note=tensor.dtype)
            found = (size, *found)
        facts.extend(found)
    if data and data.names:
        facts.append(Fact(label="features", value=_names(data.names)))
    return Stage(
        id=f"capture-{capture.id}-input",
        name="Input",
        words=" ".join(words),
        shape=shape(tensors[0][1].shape) if tensors else "",
        strips=tuple(values(forward, entry, item) for entry, item in tensors if item.row),
        facts=(*facts, *_then(views)),
        tone=_tone(item for _, item in tensors),
    )


def _rows(data: Dataset) -> str:
    """Write the sizes of a data set: `1000 rows × 20 features, in batches of 32.`."""
    rows, sizes = data.rows or 0, data.features
    if len(sizes) == 1:
        words = f"{plural(rows, 'row')} × {plural(sizes[0], 'feature')}"
    else:
        words = plural(rows, "row") + (f" of {shape(sizes)}" if sizes else "")
    named = f" ({data.name})" if data.name else ""
    batches = f", in batches of {whole(data.batch)}" if data.batch and data.batch < rows else ""
    return f"{words}{batches}{named}."


def _arrived(forward: Forward) -> str:
    capture = forward.capture
    rows = f", {plural(capture.rows, 'row')}" if capture.rows else ""
    after = f"after {plural(capture.step, 'optimizer step')}"
    if capture.purpose == "prediction":
        batch = (
            f", in a batch of {whole(capture.rows)}" if capture.rows and capture.rows > 1 else ""
        )
        return f"One sample{batch}."
    if capture.purpose == "training":
        which = f"a training batch {after}" if capture.step else "the first training batch"
        return f"Shown here: {which}{rows}."
    if capture.purpose == "evaluation":
        return f"Shown here: an evaluation batch {after}{rows}."
    return f"Shown here: one forward{rows}."


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _stage(forward: Forward, step: Step) -> Stage:
    op = step.op
    out = op.outputs[0] if op.outputs else None
    strips: list[Strip] = []
    if op.mask and op.mask.row:
        struck = tuple(not kept for kept in op.mask.row)
        entered = source(forward, op)
        if entered and entered.row and entered.shape == (out.shape if out else ()):
            strips.append(values(forward, "in", entered, struck))
    if out and out.row:
        struck = tuple(not kept for kept in op.mask.row) if op.mask else ()
        strips.append(values(forward, "out", out, struck))
    facts = (
        *_dropped(forward, op),
        *(statistics(out, "output") if out else ()),
        *_where(forward, op),
    )
    return Stage(
        id=f"capture-{forward.capture.id}-op-{op.index}",
        name=name(forward, op),
        words=describe(op),
        mode=_MODES[op.training],
        shape=_shapes(op),
        strips=tuple(strips),
        facts=(*facts, *_counted(step.counts), *_then(step.views)),
        spots=spots(forward, op),
        tone=_tone(op.outputs),
    )


def _shapes(op: Op) -> str:
    """Write what went in and what came out, without weights."""
    arrived = [
        sizes
        for position, sizes in enumerate(op.input_shapes)
        if position >= len(op.inputs) or op.inputs[position].source not in ("parameter", "buffer")
    ]
    before = " and ".join(dict.fromkeys(shape(sizes) for sizes in arrived[:3]))
    after = shape(op.outputs[0].shape) if op.outputs else ""
    return f"{before} → {after}" if before else f"→ {after}"


def _where(forward: Forward, op: Op) -> Iterator[Fact]:
    data, rows = forward.data, forward.capture.rows
    if forward.capture.purpose == "prediction":
        data = None
    if data and data.rows and rows and len(forward.ops) <= FLAT and op.outputs and op.input_shapes:
        before, after = op.input_shapes[0], op.outputs[0].shape
        arrived = [tensor.shape[1:] for _, tensor in forward.capture.inputs]
        fits = bool(data.features) and data.features in arrived
        fits = fits and before[:1] == after[:1] == (rows,)
        if fits and len(after) > 1 and rows < data.rows:
            total = f"{shape((data.rows, *before[1:]))} → {shape((data.rows, *after[1:]))}"
            yield Fact(label="all rows", value=total)
    if op.module and op.module not in forward.around:
        calls = f", call {op.call + 1}" if op.call else ""
        yield Fact(label="module", value=f"`{op.module}` ({op.module_type}){calls}")
    if op.random and op.mask is None:
        yield Fact(label="random", value="draws from a random number generator")


def _dropped(forward: Forward, op: Op) -> Iterator[Fact]:
    """Say what a dropout did: its rate, its mask, and its scale on one real element."""
    mask = op.mask
    if mask is None:
        return
    yield Fact(label="p", value=setting(mask.p))
    yield Fact(label="mask", value=kept(mask), note=expected(mask))
    scaled = _scaled(source(forward, op), op)
    if scaled:
        yield scaled


def _scaled(entered: Tensor | None, op: Op) -> Fact | None:
    mask = op.mask
    out = op.outputs[0] if op.outputs else None
    if not mask or not entered or not out or entered.shape != out.shape or not 0 < mask.p < 1:
        return None
    for stays, before, after in zip(mask.row, entered.row, out.row, strict=False):
        if stays and before and math.isfinite(before) and "alpha" not in op.function:
            made = before * mask.scale
            close = 1e-5 if out.dtype in ("float32", "float64") else 1e-2
            equal = math.isclose(made, after, rel_tol=close)
            p = setting(mask.p)
            return Fact(
                label="scale",
                value=f"{number(before)} × 1/(1−{p}) = {number(made)}",
                note="the recorded output is the same"
                if equal
                else f"the recorded output is another: {number(after)}",
            )
    return None


def given_shapes(failure: Failure) -> str:
    """Write what a failing operation was given, by name where weights are always in this order.

    >>> given_shapes(Failure(type="", message="", function="linear", input_shapes=((8, 9), (3, 4))))
    'input 8 × 9, weight 3 × 4'
    """
    shapes = [shape(sizes) for sizes in failure.input_shapes]
    if failure.function == "linear" or failure.function.startswith("conv"):
        names = ("input", "weight", "bias")
        return ", ".join(f"{name} {sizes}" for name, sizes in zip(names, shapes, strict=False))
    return ", ".join(shapes)


def _tone(tensors: Iterable[Tensor]) -> str:
    return "warning" if any(item.nans for item in tensors) else "plain"


def _gives_output(forward: Forward, step: Step) -> bool:
    made = (step.views[-1] if step.views else step.op).outputs
    given = forward.capture.outputs
    return bool(made and given and made[0].shape == given[0][1].shape)


def _output(forward: Forward, stage: Stage) -> Stage:
    """Name the last stage Output, and keep what made it in its words."""
    words = f"{stage.name}: {stage.words[:1].lower()}{stage.words[1:]}"
    return replace(stage, name="Output", words=words)


def _failed(forward: Forward, failure: Failure | None) -> Stage:
    """Show the operation that raised, with what it was given and where it was called."""
    name = f"capture-{forward.capture.id}-failed"
    if failure is None:
        return Stage(id=name, name="The forward ended here", tone="bad")
    given = given_shapes(failure)
    facts = []
    if failure.module:
        facts.append(Fact(label="module", value=f"`{failure.module}` ({failure.module_type})"))
    if given:
        facts.append(Fact(label="was given", value=given))
    made = forward.parts.get(failure.module)
    places = [made.made] if made and made.made and failure.module else []
    places += list(failure.frames[-1:])
    return Stage(
        id=name,
        name=(failure.module and failure.module_type) or failure.function or "The forward",
        words=f"Failed with {failure.type}: {failure.message}",
        shape=f"{shape(failure.input_shapes[0])} → nothing" if given else "",
        facts=tuple(facts),
        spots=tuple(spot(forward.folder, place) for place in places),
        tone="bad",
    )
