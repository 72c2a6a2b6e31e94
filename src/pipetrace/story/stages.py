"""One captured forward becomes stages: the input, then one for each operation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest

from msgspec.structs import replace

from pipetrace.blocks import Fact, Stage, Strip
from pipetrace.records import Dataset, Failure, Link, Op, Tensor
from pipetrace.story.costs import priced, step_cost
from pipetrace.story.details import FLAT, gradients, origin, standing, statistics, taken
from pipetrace.story.figures import listing, plural, shape, whole
from pipetrace.story.forwards import Forward, Step, fold, name, root, source, spot, spots
from pipetrace.story.masks import described, dropped, inside, struck
from pipetrace.story.nesting import nest
from pipetrace.story.sentences import plain_name, real
from pipetrace.story.words import call, describe, is_view, part

LISTED = 6
"""So many outputs are named in the sentence of the Output stage."""
_NAMED = re.compile(r"[\[.]")
"""How the name of an output begins that is one of several: `['logits']`, `[0]` or `.logits`."""
_MODES = {True: "train mode", False: "eval mode", None: ""}


_AGAIN = ("prediction", "trace")
"""What a forward must be for its stages to be run again by whoever reads of it."""


def stages(forward: Forward, failure: Failure | None = None) -> tuple[Stage, ...]:
    """Return the stages of a forward: the input, the operations, and what failed.

    Args:
        forward: the captured forward.
        failure: the exception, shown as the last stage where the forward did not complete.
    """
    leading, steps = fold(forward.ops)
    found = [_input(forward, leading)]
    found += nest(forward, steps, partial(_stage, forward), whole=len(steps) > FLAT)
    if not forward.capture.complete:
        found.append(_failed(forward, failure))
    elif _returned(forward):
        found.append(_results(forward))
    elif steps and not found[-1].stages and _gives_output(forward, steps[-1]):
        found[-1] = _output(forward, found[-1])
    return tuple(found)


def single(forward: Forward, index: int) -> Stage:
    """Return the stage of one operation by itself, without the views that follow it."""
    return _stage(forward, Step(forward.ops[index]))


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
        Fact(label="then", value=f"`{call(op)}` {_change(op)}", note=_kept(op)) for op in views[:4]
    ]
    if len(views) > 4:
        which = "these" if any(map(part, views)) else "the same"
        shown.append(Fact(label="then", value=f"{len(views) - 4} more views of {which} values"))
    return tuple(shown)


def _kept(op: Op) -> str:
    return "some of its values" if part(op) else "the same values"


def _before(forward: Forward, ops: Sequence[Op]) -> Iterator[Fact]:
    """Yield what was done to buffers, and what was looked at of tensors that are no input."""
    for op in ops:
        if not is_view(op):
            yield Fact(label="also", value=f"`{call(op)}` on the buffer `{op.inputs[0].name}`")
            continue
        link = root(forward.ops, op)
        source = {"unseen": "a tensor made outside", "": "a tensor"}.get(
            link.source, f"the {link.source}"
        )
        of = f"{source} `{link.name}`" if link.name else source
        yield Fact(label="before", value=f"`{call(op)}` of {of}, {_change(op)}", note=_kept(op))


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
        pictures=forward.pictures,
        tokens=forward.tokens,
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


def again(forward: Forward, op: Op) -> str:
    """Name an operation to the action that runs it again; empty where that is not offered."""
    capture = forward.capture
    offered = capture.purpose in _AGAIN and capture.complete and forward.values and not op.opaque
    return f"{capture.id}/{op.index}" if offered else ""


def rate(op: Op) -> float | None:
    """Return the probability that an operation drops with; None where it has none.

    >>> [rate(Op(capture=0, index=0, function=name)) for name in ("dropout", "mm")]
    [0.5, None]
    """
    plain = plain_name(op.function)
    if "dropout" in plain:
        given = real(op, "p")
        return 0.5 if given is None else given
    return (real(op, "dropout_p") or 0.0) if plain == "scaled_dot_product_attention" else None


def _stage(forward: Forward, step: Step) -> Stage:
    op = step.op
    out = op.outputs[0] if op.outputs else None
    strips: list[Strip] = []
    gone = struck(op)
    if gone:
        entered = source(forward, op)
        if entered and entered.row and entered.shape == (out.shape if out else ()):
            strips.append(values(forward, "in", entered, gone))
    if hidden := inside(forward, op):
        strips.append(hidden)
    if out and out.row:
        strips.append(values(forward, "out", out, gone))
    facts = (
        *origin(forward, op),
        *dropped(forward, op),
        *(statistics(out, "output") if out else ()),
        *gradients(forward, op),
        *priced(step_cost(step)),
        *taken(op),
        *standing(forward, op),
    )
    first = forward.broken is not None and forward.broken.op == op.index
    return Stage(
        id=f"capture-{forward.capture.id}-op-{op.index}",
        name=name(forward, op),
        words=describe(op) + described(op),
        mode=_MODES[op.training],
        shape=_shapes(forward, op),
        strips=tuple(strips),
        facts=(*facts, *_before(forward, step.before), *_then(step.views)),
        spots=spots(forward, op),
        tone="bad" if first else _tone(op.outputs),
        again=again(forward, op),
        rate=rate(op) if again(forward, op) else None,
    )


def _shapes(forward: Forward, op: Op) -> str:
    """Write what went in and what came out, without weights and what is looked at of buffers."""
    pairs = list(zip_longest(op.inputs[: len(op.input_shapes)], op.input_shapes))
    arrived = [sizes for link, sizes in pairs if not link or not _own(forward, link)]
    if not arrived:
        arrived = [sizes for link, sizes in pairs if link.source not in ("parameter", "buffer")]
    before = " and ".join(dict.fromkeys(shape(sizes) for sizes in arrived[:3]))
    after = shape(op.outputs[0].shape) if op.outputs else ""
    return f"{before} → {after}" if before else f"→ {after}"


def _own(forward: Forward, link: Link) -> bool:
    """Tell whether a tensor is the model's own: a parameter, a buffer, or a view of one."""
    if link.source == "op" and link.index is not None and link.index < len(forward.ops):
        made = forward.ops[link.index]
        link = root(forward.ops, made) if is_view(made) else link
    return link.source in ("parameter", "buffer")


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


def _returned(forward: Forward) -> bool:
    """Tell whether what was returned has names: several tensors, or those of a dict."""
    given = forward.capture.outputs
    return len(given) > 1 or any(_NAMED.match(key) for key, _ in given)


def _results(forward: Forward) -> Stage:
    """Show all that a forward returned, each tensor under its name."""
    given = [
        (f"output{key}" if _NAMED.match(key) else key, tensor)
        for key, tensor in forward.capture.outputs
    ]
    facts: list[Fact] = []
    for label, tensor in given:
        facts.append(Fact(label=f"{label}, shape", value=shape(tensor.shape), note=tensor.dtype))
        facts.extend(statistics(tensor, label))
    written = listing(f"`{label}` ({shape(tensor.shape)})" for label, tensor in given[:LISTED])
    more = f", and {len(given) - LISTED} more below" if len(given) > LISTED else ""
    return Stage(
        id=f"capture-{forward.capture.id}-output",
        name="Output",
        words=f"The forward returned {plural(len(given), 'tensor')}: {written}{more}.",
        shape=shape(given[0][1].shape) if len(given) == 1 else "",
        strips=tuple(values(forward, label, tensor) for label, tensor in given if tensor.row),
        facts=tuple(facts),
        tone=_tone(tensor for _, tensor in given),
    )


def _failed(forward: Forward, failure: Failure | None) -> Stage:
    """Show the operation that raised, with what it was given and where it was called."""
    name = f"capture-{forward.capture.id}-failed"
    if failure is None:
        what = "forward" if forward.capture.purpose == "failure" else "replay"
        return Stage(id=name, name=f"The {what} ended here", tone="bad")
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
