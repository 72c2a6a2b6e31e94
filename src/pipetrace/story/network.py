"""The model as a picture: every unit and weight of a small one, what feeds what in any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipetrace.blocks import AnyBlock, Column, Network, Wires
from pipetrace.records import Dataset, Link, Op, Tensor, Weights
from pipetrace.story.figures import listing, plural
from pipetrace.story.flow import shown
from pipetrace.story.forwards import Forward, name
from pipetrace.story.graph import graph
from pipetrace.story.masks import struck
from pipetrace.story.registry import Content, section
from pipetrace.story.sentences import plain_name
from pipetrace.story.words import is_view
from pipetrace.tracefile import Recording

UNITS = 300
"""A model of more units is shown as a graph only."""
_ALONE = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
     "mish", "sigmoid", "tanh", "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid",
     "hardshrink", "softshrink", "tanhshrink", "logsigmoid", "threshold", "clamp", "clamp_min",
     "exp", "sin", "cos", "abs", "neg", "square", "sqrt", "dropout", "alpha_dropout",
     "batch_norm"}
)  # fmt: skip
"""Functions that make each unit's output of that unit alone."""
_SAME = frozenset({"view", "reshape", "flatten", "contiguous", "detach", "to", "float", "squeeze"})
"""Views that leave a row's values in their order."""


@section(id="network", title="Network", order=35)
def network(recording: Recording) -> Content | None:
    """Draw the forward that the data flow tells: its units where they are few, and its graph."""
    forward = shown(recording)
    if forward is None or not forward.ops:
        return None
    drawn = _drawn(recording, forward)
    connected = graph(forward)
    blocks: list[AnyBlock] = [block for block in (drawn, connected) if block is not None]
    return Content(blocks=tuple(blocks)) if blocks else None


@dataclass
class _Chain:
    """A forward as columns of units, each made of the one before."""

    columns: list[Column] = field(default_factory=list)
    wires: list[Wires] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Operations behind the last layer that mix units without weights: they are not drawn."""


def _drawn(recording: Recording, forward: Forward) -> Network | None:
    capture = forward.capture
    held = {item.path: item for item in recording.all(Weights) if item.model == capture.model}
    chain = _chain(forward, held) if held and len(capture.inputs) == 1 else None
    if chain is None or sum(len(column.values) for column in chain.columns) > UNITS:
        return None
    names = next((data.classes for data in recording.all(Dataset) if data.classes), ())
    last = chain.columns[-1]
    if len(names) == len(last.values):
        chain.columns[-1] = Column(label=last.label, values=last.values, names=names)
    units, weights = sum(len(c.values) for c in chain.columns), sum(_count(w) for w in chain.wires)
    which = "the first training batch" if not capture.step else "a training batch"
    before = f"before the step that followed, {plural(capture.step, 'step')} into the run"
    when = "before any training" if not capture.step else before
    parts = [f"The values of row {capture.sample} of {which} and the weights, both {when}"]
    dropped = sum(sum(column.struck) for column in chain.columns)
    if dropped:
        parts.append(f"{plural(dropped, 'unit')} dropped in this row")
    if chain.left:
        parts.append(f"not drawn: {listing(chain.left)} behind the last layer")
    return Network(
        title=f"{plural(units, 'unit')}, {plural(weights, 'weight')}",
        columns=tuple(chain.columns),
        wires=tuple(chain.wires),
        note=f"{'; '.join(parts)}.",
    )


def _count(wires: Wires) -> int:
    return sum(map(len, wires.weights))


def _chain(forward: Forward, held: dict[str, Weights]) -> _Chain | None:
    """Return the columns of a plain chain of linear layers; None for any other forward."""
    chain, given = _Chain(), forward.capture.inputs[0][1]
    if not _whole(given):
        return None
    named = forward.data.names if forward.data else ()
    names = named if len(named) == len(given.row) else ()
    chain.columns.append(Column(label="Input", values=_short(given.row), names=names))
    place: dict[int | None, int] = {None: 0}
    for op in forward.ops:
        links = [link for link in op.inputs if link.source in ("op", "input", "unseen")]
        at = place.get(links[0].index) if len(links) == 1 else None
        if at is None or at != len(chain.columns) - 1 or not op.outputs:
            return None
        if is_view(op):
            if plain_name(op.function) not in _SAME or not _whole(op.outputs[0]):
                return None
            place[op.index] = at
            continue
        if chain.left or not _add(chain, forward, op, held):
            chain.left.append(name(forward, op))
            place[op.index] = at
            continue
        place[op.index] = len(chain.columns) - 1
    linear = [wires.target for wires in chain.wires if wires.weights]
    weighted = sum(plain_name(op.function) == "linear" for op in forward.ops)
    return chain if linear and len(linear) == weighted else None


def _add(chain: _Chain, forward: Forward, op: Op, held: dict[str, Weights]) -> bool:
    """Add the column that an operation makes of the last one, where it can be drawn."""
    out, plain = op.outputs[0], plain_name(op.function)
    if not _whole(out):
        return False
    if plain == "linear":
        weights = _parameters(op, held)
        if weights is None:
            return False
    elif plain in _ALONE and len(out.row) == len(chain.columns[-1].values):
        weights = ((), ())
    else:
        return False
    source = len(chain.columns) - 1
    chain.wires.append(Wires(source=source, target=source + 1, weights=weights[0], bias=weights[1]))
    gone = struck(op)
    label = f"{name(forward, op)} {op.module}".strip()
    chain.columns.append(
        Column(label=label, values=_short(out.row), struck=gone if any(gone) else ())
    )  # fmt: skip
    return True


def _parameters(
    op: Op, held: dict[str, Weights]
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]] | None:
    """Return the rows of a linear operation's weights, and its biases."""
    links: Sequence[Link] = op.inputs[1:]
    found = [held.get(link.name) for link in links if link.source == "parameter"]
    if len(found) != len(links) or not found or found[0] is None or len(found[0].shape) != 2:
        return None
    rows, width = found[0].shape
    values = found[0].values
    weights = tuple(_short(values[row * width : (row + 1) * width]) for row in range(rows))
    bias = found[1] if len(found) > 1 else None
    return weights, () if bias is None else _short(bias.values)


def _short(values: Sequence[float]) -> tuple[float, ...]:
    """Cut numbers of 32 bits to the digits that they have."""
    return tuple(float(f"{value:.7g}") for value in values)


def _whole(tensor: Tensor) -> bool:
    """Tell whether all values of the sample's row are known, one for each unit."""
    return 0 < len(tensor.row) == tensor.row_count and len(tensor.shape) == 2
