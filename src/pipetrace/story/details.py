"""The facts of one stage: its values, what it took, its gradient, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipetrace.blocks import Fact
from pipetrace.records import NotFinite, Op, Tensor
from pipetrace.story.figures import number, percent, plural, shape, whole, whole_number
from pipetrace.story.forwards import Forward

FLAT = 40
"""Up to this many operations stand side by side; more are folded by module."""


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


def gradients(forward: Forward, op: Op) -> Iterator[Fact]:
    """Yield the statistics of the gradients that a backward gave an operation's outputs."""
    for output, gradient in sorted(forward.gradients.get(op.index, {}).items()):
        label = "gradient" if output == 0 else f"gradient of output {output + 1}"
        found = statistics(gradient, label)
        if not found and gradient.row:
            found = (Fact(label=label, value=number(gradient.row[0]), note="one number"),)
        yield from found


def taken(op: Op) -> Iterator[Fact]:
    """Yield what an operation took that neither an operation, an input nor a parameter gave."""
    names = [link.name for link in op.inputs if link.source == "constant"]
    named = dict.fromkeys(f"`{name}`" if name else "without a name" for name in names)
    if names:
        noun = "the constant" if len(names) == 1 else "the constants"
        yield Fact(label="also takes", value=f"{noun} {', '.join(named)}")
    unseen = sum(link.source == "unseen" for link in op.inputs)
    if unseen:
        made = "a tensor" if unseen == 1 else f"{unseen} tensors"
        yield Fact(label="also takes", value=f"{made} made outside of what was traced")


def origin(forward: Forward, op: Op) -> Iterator[Fact]:
    """Yield that an operation was the first that made a NaN or an infinity."""
    if forward.broken and forward.broken.op == op.index:
        made = amount(forward.broken)
        yield Fact(
            label="the first",
            value=f"it made {made}",
            note="counted over all values of its outputs; none of its inputs had one",
        )


def amount(broken: NotFinite) -> str:
    """Write how many values are no numbers.

    >>> amount(NotFinite(capture=0, op=1, nans=16, infinities=2, total=32))
    '16 NaN and 2 infinities among 32 values'
    """
    parts = [f"{whole(broken.nans)} NaN"] if broken.nans else []
    if broken.infinities:
        parts.append(plural(broken.infinities, "infinity", "infinities"))
    return f"{' and '.join(parts)} among {plural(broken.total, 'value')}"


def standing(forward: Forward, op: Op) -> Iterator[Fact]:
    """Yield the sizes for all rows, the module and its call, and an unexplained randomness."""
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
            note = "derived: only this batch was traced"
            yield Fact(label="all rows", value=total, note=note)
    if op.module and op.module not in forward.around:
        count = forward.calls.get(op.module, 1)
        calls = f", call {op.call + 1} of {count}" if count > 1 else ""
        yield Fact(label="module", value=f"`{op.module}` ({op.module_type}){calls}")
    if op.random and op.mask is None and not op.mask_missing:
        yield Fact(label="random", value="draws from a random number generator")
