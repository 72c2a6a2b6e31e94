"""The model as a picture: every unit and weight of a small one, what feeds what in any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from pipetrace.blocks import AnyBlock, Column, Network, Wires
from pipetrace.probed import NUMBERS, UNITS, VALUES
from pipetrace.records import Dataset, Link, Op, Tensor, Weights, WholeRow
from pipetrace.story.figures import listing, plural, whole
from pipetrace.story.flow import shown
from pipetrace.story.forwards import Forward, name
from pipetrace.story.graph import graph
from pipetrace.story.masks import struck
from pipetrace.story.registry import Content, section
from pipetrace.story.sentences import plain_name
from pipetrace.story.words import is_view
from pipetrace.tracefile import Recording

_ALONE = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
     "mish", "sigmoid", "tanh", "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid",
     "hardshrink", "softshrink", "tanhshrink", "logsigmoid", "threshold", "clamp", "clamp_min",
     "exp", "sin", "cos", "abs", "neg", "square", "sqrt", "dropout", "alpha_dropout",
     "batch_norm"}
)  # fmt: skip
"""Functions that make each unit's output of that unit alone."""
_SAME = frozenset(
    {"view", "reshape", "flatten", "unflatten", "contiguous", "detach", "to", "float", "squeeze",
     "unsqueeze"}
)  # fmt: skip
"""Views that leave a row's values in their order."""


@section(id="network", title="Network", order=35)
def network(recording: Recording) -> Content | None:
    """Draw the forward that the data flow tells: its units where they are few, and its graph."""
    forward = shown(recording)
    if forward is None or not forward.ops:
        return None
    drawn, connected = _drawn(recording, forward), graph(forward)
    if isinstance(drawn, str):
        if connected is None:
            return None
        why = f" Not drawn unit by unit: {drawn}." if drawn and _units(forward) <= UNITS else ""
        return Content(blocks=(replace(connected, note=f"{connected.note}{why}"),))
    blocks: list[AnyBlock] = [block for block in (drawn, connected) if block is not None]
    return Content(blocks=tuple(blocks))


@dataclass
class _Chain:
    """A forward as columns of units, each made of the one before."""

    forward: Forward
    held: Mapping[str, Weights]
    rows: Mapping[int, WholeRow]
    columns: list[Column] = field(default_factory=list)
    wires: list[Wires] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Operations behind the last layer that mix units without weights: they are not drawn."""
    why: str = ""
    """Why the first of them is none of the picture."""

    def row(self, index: int, tensor: Tensor) -> tuple[float, ...]:
        """Return all values of a tensor's row, one for each unit; none where not all are known."""
        units = _width(self.forward, tensor)
        known = self.rows.get(index)
        for values in (tensor.row, known.values if known else ()):
            if 0 < len(values) == units:
                return values
        return ()


def _drawn(recording: Recording, forward: Forward) -> Network | str:
    """Return the picture, or why there is none; an empty text where that needs no words."""
    capture = forward.capture
    if not capture.complete:
        return ""
    if not forward.values:
        return "values were left out, as asked"
    if len(capture.inputs) != 1:
        return f"the model takes {plural(len(capture.inputs), 'tensor')}, not one"
    held = {item.path: item for item in recording.all(Weights) if item.model == capture.model}
    if not held:
        return _unheld(forward)
    rows = {item.op: item for item in recording.all(WholeRow) if item.capture == capture.id}
    chain = _Chain(forward, held, rows)
    if why := _follow(chain):
        return why
    made = [len(chain.columns[wires.target].values) for wires in chain.wires if wires.weights]
    own = len(chain.columns[0].values) + sum(made)
    if own > UNITS or sum(len(column.values) for column in chain.columns) > VALUES:
        return ""
    names = next((data.classes for data in recording.all(Dataset) if data.classes), ())
    last = chain.columns[-1]
    if len(names) == len(last.values):
        chain.columns[-1] = Column(label=last.label, values=last.values, names=names)
    units, weights = sum(len(c.values) for c in chain.columns), sum(_count(w) for w in chain.wires)
    which = "the first training batch" if not capture.step else "a training batch"
    before = f"before the step that followed, {plural(capture.step, 'step')} into the run"
    when = "before the first step" if not capture.step else before
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


def _follow(chain: _Chain) -> str:
    """Add the columns of a plain chain of linear layers; say why where a forward is another."""
    forward, given = chain.forward, chain.forward.capture.inputs[0][1]
    values = chain.row(-1, given)
    if not values:
        return _cut("the input", given)
    named = forward.data.names if forward.data else ()
    names = named if len(named) == len(values) else ()
    chain.columns.append(Column(label="Input", values=_short(values), names=names))
    place: dict[int | None, int] = {None: 0}
    for op in forward.ops:
        links = [link for link in op.inputs if link.source in ("op", "input", "unseen")]
        if len(links) != 1 or not op.outputs:
            count = plural(len(links), "tensor")
            return f"{name(forward, op)} takes {count}, where a layer of a chain takes one"
        at = place.get(links[0].index)
        if at is None or at != len(chain.columns) - 1:
            return f"{name(forward, op)} does not take what was computed last: it is no chain"
        if is_view(op):
            same = _width(forward, op.outputs[0]) == len(chain.columns[-1].values)
            if plain_name(op.function) not in _SAME or not (same or chain.left):
                return f"{name(forward, op)} rearranges the values of a row"
        elif chain.left or (why := _add(chain, op)):
            chain.why = chain.why or why
            chain.left.append(name(forward, op))
        else:
            at += 1
        place[op.index] = at
    drawn = sum(bool(wires.weights) for wires in chain.wires)
    weighted = sum(plain_name(op.function) == "linear" for op in forward.ops)
    return "" if drawn == weighted else chain.why


def _add(chain: _Chain, op: Op) -> str:
    """Add the column that an operation makes of the last one, or say why it cannot be drawn."""
    forward, plain, units = chain.forward, plain_name(op.function), len(chain.columns[-1].values)
    called, values = name(forward, op), chain.row(op.index, op.outputs[0])
    weights: tuple[tuple[float, ...], ...] = ()
    bias: tuple[float, ...] = ()
    if plain == "linear":
        found = _parameters(op, chain.held)
        if found is None:
            return f"the weights of {called} are no parameters"
        weights, bias = found
        if any(len(row) != units for row in weights):
            return f"{called} is applied to parts of a row, one after the other"
    elif plain not in _ALONE or _width(forward, op.outputs[0]) != units:
        return f"{called} is neither a linear layer nor a function of each unit alone"
    if not values:
        return _cut(called, op.outputs[0])
    source = len(chain.columns) - 1
    chain.wires.append(Wires(source=source, target=source + 1, weights=weights, bias=bias))
    gone = struck(op)
    known = chain.rows.get(op.index)
    if known is not None and len(gone) != len(values):
        gone = tuple(not flag for flag in known.kept)
    label = f"{called} {op.module}".strip()
    chain.columns.append(
        Column(label=label, values=_short(values), struck=gone if any(gone) else ())
    )  # fmt: skip
    return ""


def _cut(what: str, tensor: Tensor) -> str:
    count = plural(math.prod(tensor.shape), "value")
    return f"of {what} not every value of the row was kept; the whole batch has {count}"


def _unheld(forward: Forward) -> str:
    """Say why the weights of a model are not in the file."""
    if not any(plain_name(op.function) == "linear" for op in forward.ops):
        return "it has no linear layer"
    taking = dict.fromkeys(
        name(forward, op)
        for op in forward.ops
        if plain_name(op.function) != "linear"
        and any(link.source == "parameter" for link in op.inputs)
    )
    if taking:
        return f"not only linear layers have parameters, but {listing(taking)} too"
    parameters = sum(part.parameters for part in forward.parts.values())
    if parameters > NUMBERS:
        return f"it has {whole(parameters)} parameters, and weights of {whole(NUMBERS)} are kept"
    if forward.capture.purpose != "training":
        return "weights are kept where a training is recorded"
    return "its weights could not be kept"


def _parameters(
    op: Op, held: Mapping[str, Weights]
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]] | None:
    """Return the rows of a linear operation's weights, and its biases."""
    links: Sequence[Link] = op.inputs[1:]
    found = [held.get(link.name) for link in links if link.source == "parameter"]
    if len(found) != len(links) or not found or found[0] is None or len(found[0].shape) != 2:
        return None
    rows, width = found[0].shape
    values = found[0].values
    weights = tuple(_short(values[row * width : (row + 1) * width], 4) for row in range(rows))
    bias = found[1] if len(found) > 1 else None
    return weights, () if bias is None else _short(bias.values, 4)


def _short(values: Sequence[float], digits: int = 7) -> tuple[float, ...]:
    """Cut numbers to so many digits: values to those of 32 bits, of weights there are many."""
    return tuple(float(f"{value:.{digits}g}") for value in values)


def _width(forward: Forward, tensor: Tensor) -> int:
    """Return how many values each row of the batch has; 0 where the tensor has no such rows."""
    rows = forward.capture.rows
    return math.prod(tensor.shape[1:]) if rows and tensor.shape[:1] == (rows,) else 0


def _units(forward: Forward) -> int:
    """Count the values of a row in the inputs and in what operations made of several units."""
    mixed = [op for op in forward.ops if not is_view(op) and plain_name(op.function) not in _ALONE]
    made = [op.outputs[0] for op in mixed if op.outputs]
    every = [*(tensor for _, tensor in forward.capture.inputs), *made]
    return sum(_width(forward, tensor) or math.prod(tensor.shape) for tensor in every)
