"""Where the data of an op comes from, and which of its dimensions holds the features."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipetrace.checks.evidence import Traced, argument
from pipetrace.records import Op

DROPPING = {
    "dropout", "dropout_", "native_dropout", "alpha_dropout", "alpha_dropout_", "dropout1d",
    "dropout2d", "dropout3d", "feature_dropout", "feature_dropout_", "feature_alpha_dropout",
    "feature_alpha_dropout_",
}  # fmt: skip
"""PyTorch's functions that drop what they are given."""
RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}
HIDING = {"scaled_dot_product_attention", *RECURRENT}
"""Those that drop inside."""
BENDING = {"relu", "relu_", "leaky_relu", "leaky_relu_", "prelu"}
"""They leave zeros zero, and scales too: dropout before and after is the same."""
_COPIES = {"clone", "contiguous", "to", "float", "half", "bfloat16", "double", "type_as", "cpu",
           "cuda", "reshape", "flatten"}  # fmt: skip
_LAST = {"linear", "embedding", "embedding_bag", "layer_norm", "rms_norm", "bilinear",
         "scaled_dot_product_attention", *RECURRENT}  # fmt: skip
_NORMS = {"batch_norm", "group_norm", "instance_norm"}
_CONVOLUTION = re.compile(r"conv(?:_transpose)?([123])d")
_MIXING = {"matmul", "mm", "bmm", "einsum", "addmm", "baddbmm", "stack", "gather", "index_select"}
_TURNING = {"transpose", "transpose_", "swapaxes", "swapdims", "permute", "t", "T", "mT", "movedim"}
_DEPTH = 40


def passed(op: Op) -> bool:
    """Tell an op that gives what it was given: a view, a copy, or all times one number."""
    scales = op.function in ("mul", "div", "mul_", "div_") and len(op.inputs) == 1
    return op.view or op.function in _COPIES or scales


def source(
    forward: Traced, op: Op, place: int = 0, through: frozenset[str] = frozenset()
) -> Op | None:
    """Return the op that made an input of an op; views, copies and scales are looked through.

    Args:
        forward: The captured forward.
        op: The op.
        place: Which of its inputs.
        through: Functions that are looked through too.
    """
    if place >= len(op.inputs):
        return None
    index = op.inputs[place].index
    if index is None or index >= len(forward.ops):
        return None
    found = forward.ops[index]
    if passed(found) or found.function in through:
        return source(forward, found, 0, through)
    return found


def takers(forward: Traced, op: Op, through: frozenset[str] = frozenset()) -> list[Op]:
    """Return the ops that take an op's output; views, copies and scales are looked through."""
    found = []
    for user in forward.users[op.index]:
        onward = passed(user) or user.function in through
        found += takers(forward, user, through) or [user] if onward else [user]
    return found


def ancestors(forward: Traced, op: Op) -> list[Op]:
    """Return an op and all ops whose outputs it was computed from."""
    known = {op.index}
    waiting = [op]
    for each in waiting:
        for before in forward.before(each):
            if before.index not in known:
                known.add(before.index)
                waiting.append(before)
    return waiting


def inputs(forward: Traced, op: Op) -> set[str]:
    """Return the names of the forward's inputs that an op was computed from."""
    found = ancestors(forward, op)
    return {link.name for each in found for link in each.inputs if link.source == "input"}


def layers(forward: Traced, op: Op) -> int:
    """Return how many ops with parameters an op was computed from; looking rows up counts not."""
    return sum(
        any(link.source == "parameter" for link in each.inputs)
        for each in ancestors(forward, op)
        if not each.function.startswith("embedding")
    )


def data(forward: Traced, op: Op) -> int:
    """Return which input of an op in which a mask met data is the data: the one nobody drew."""
    shape = op.outputs[0].shape
    for place, (link, given) in enumerate(zip(op.inputs, op.input_shapes, strict=False)):
        made = None if link.index is None else forward.ops[link.index]
        if given == shape and not (made is not None and _drawn(forward, made)):
            return place
    return 0


def _drawn(forward: Traced, op: Op, depth: int = 6) -> bool:
    if op.random and op.function not in DROPPING | HIDING:
        return True
    given = forward.before(op)
    return bool(depth and given and op.mask is None and len(given) == len(op.inputs)) and all(
        _drawn(forward, each, depth - 1) for each in given
    )


def features(forward: Traced, op: Op) -> int | None:
    """Return which dimension of an op's output holds the features, None where nothing tells.

    What the ops before say decides, and only then what the ops after take the dimension for.
    """
    found = _made(forward, op, _DEPTH)
    return _taken(forward, op, _DEPTH) if found is None else found


def _made(forward: Traced, op: Op, depth: int) -> int | None:
    if not op.outputs or not depth:
        return None
    shape = op.outputs[0].shape
    own = _own(op.function, len(shape))
    if own is not None:
        return own
    if op.function in _MIXING:
        return None
    for link, given in zip(op.inputs, op.input_shapes, strict=False):
        if link.index is None or link.index >= len(forward.ops):
            continue
        before = forward.ops[link.index]
        if not before.outputs or before.outputs[0].shape != given:
            continue
        axis = _made(forward, before, depth - 1)
        if axis is not None:
            return _moved(op, axis, given, shape)
    return None


def _taken(forward: Traced, op: Op, depth: int) -> int | None:
    shape = op.outputs[0].shape
    for user in forward.users[op.index] if depth else ():
        if user.inputs[0].index != op.index or not user.outputs:
            continue
        own = _own(user.function, len(shape))
        if own is not None:
            return own
        if user.function in _MIXING:
            continue
        after = _taken(forward, user, depth - 1)
        if after is not None:
            places = range(len(shape))
            given = user.outputs[0].shape
            return next((a for a in places if _moved(user, a, shape, given) == after), None)
    return None


def _own(function: str, dimensions: int) -> int | None:
    """Return which dimension a function holds features in, in what it takes and what it gives."""
    if function in _LAST:
        return dimensions - 1
    if function in _NORMS:
        return 1
    convolution = _CONVOLUTION.fullmatch(function)
    return dimensions - int(convolution[1]) - 1 if convolution else None


def _moved(op: Op, axis: int, given: tuple[int, ...], made: tuple[int, ...]) -> int | None:
    """Return where an op moves a dimension to; None where it is lost."""
    if op.function in _TURNING:
        return _turned(op, axis, len(given))
    if axis < len(made) and len(given) == len(made) and given[axis] == made[axis]:
        return axis
    later = axis + len(made) - len(given)
    if later >= 0 and given[axis:] == made[later:]:
        return later
    return axis if given[: axis + 1] == made[: axis + 1] else None


def _turned(op: Op, axis: int, dimensions: int) -> int | None:
    if op.function in ("t", "T", "mT"):
        order = [*range(dimensions - 2), dimensions - 1, dimensions - 2]
        return order.index(axis) if op.function != "T" else dimensions - 1 - axis
    told = [_numbers(each.value) for each in op.arguments]
    if op.function == "movedim":
        return None
    if op.function == "permute":
        order = [number % dimensions for number in _numbers(argument(op, "dims") or "")]
        order = order or [number % dimensions for numbers in told for number in numbers]
        return order.index(axis) if axis in order else None
    swapped = [number % dimensions for numbers in told for number in numbers][:2]
    if len(swapped) != 2:
        return None
    return swapped[1 - swapped.index(axis)] if axis in swapped else axis


def _numbers(words: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", words)]


def masked(forward: Traced) -> Iterator[Op]:
    """Yield the ops that dropped at random, whoever wrote them."""
    yield from (op for op in forward.ops if op.mask is not None and op.mask.p > 0)
