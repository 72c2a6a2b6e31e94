"""What an op costs, from its name, arguments and shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from math import prod
from typing import Any

from pipetrace.capture.free import FREE

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Arguments = Mapping[str, Any]


def flops(name: str, arguments: Arguments, given: Shapes, made: Shapes) -> int | None:
    """Return how many floating-point operations a call does in products of matrices.

    A multiplication and an addition count as two, and only matrix and vector products, convolutions
    and attention count, as in `torch.utils.flop_counter`: an element-wise function, a reduction, a
    normalisation, a bias or a view is 0, and a causal mask saves nothing. That counter sees no
    `mv`, `dot`, `addbmm` or `addmm_`, and neither the LSTM nor the attention that a CPU has kernels
    of its own for; here they count by the same rule. Its formulas are not used: its import takes
    `triton` along where that is installed, and in older releases they refuse grouped queries.

    Args:
        name: The function's plain name, with or without the underscore of an in-place one.
        arguments: The arguments that are no tensors, by name; those left out have their defaults.
        given: The shapes of the tensor arguments, in the order of the call.
        made: The shapes of the outputs.

    Returns:
        The count; 0 for functions known to multiply no matrices; None for functions that are not
        known, and where the shapes do not fit.

    >>> flops("linear", {}, [(32, 20), (10, 20), (10,)], [(32, 10)])
    12800
    >>> flops("relu", {}, [(32, 10)], [(32, 10)]), flops("svd", {}, [(3, 3)], [(3, 3)])
    (0, None)
    """
    plain = name.removesuffix("_")
    if plain in FREE or plain.startswith("special_") or plain.endswith("_copy"):
        return 0
    formula = _FORMULAS.get(plain)
    try:
        return formula(arguments, given, made[0]) if formula else None
    # Fewer shapes, or of other ranks, than the function is known to take.
    except (LookupError, TypeError, ValueError):
        return None


def _product(
    arguments: Arguments, given: Shapes, out: Shape, *, first: int = 0, turned: bool = False
) -> int | None:
    """Count a product of vectors, matrices, or batches of matrices that broadcast.

    The left operand is the tensor at `first`, the right one follows and may be `turned` over.
    """
    left, right = given[first : first + 2]
    right = right[::-1] if turned else right
    width = right[-2] if len(right) > 1 else right[0]
    tail = (*left[-2:-1], *(right[-1:] if len(right) > 1 else ()))
    batch = len(out) - len(tail)
    fits = left[-1] == width and out[batch:] == tail
    return 2 * prod(out) * width if fits and batch == max(len(left), len(right), 2) - 2 else None


def _summed(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    (batch, rows, width), right = given[1], given[2]
    fits = right[:2] == (batch, width) and out == (rows, right[2])
    return 2 * batch * prod(out) * width if fits else None


def _inner(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    left, right = given
    fits = left[-1] == right[-1] and out == left[:-1] + right[:-1]
    return 2 * prod(out) * left[-1] if fits else None


def _tensordot(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    left, right, dims = *given[:2], arguments.get("dims", 2)
    pairs = (range(len(left) - dims, len(left)), range(dims)) if isinstance(dims, int) else dims
    over = [left[dim] for dim in pairs[0]]
    return 2 * prod(out) * prod(over) if over == [right[dim] for dim in pairs[1]] else None


def _einsum(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    """Count one product of two operands; the order of several is up to an optional package."""
    terms, arrow, kept = str(arguments["equation"]).replace(" ", "").partition("->")
    sides = [_labelled(term, shape) for term, shape in zip(terms.split(","), given, strict=True)]
    if len(sides) != 2:
        return 0 if len(sides) == 1 else None
    left, right = sides
    # A letter of both sides that no output names is summed; dots stay where no output is given.
    kept = kept if arrow else "..."
    shared = [at for at in left.keys() & right.keys() if 1 not in (left[at], right[at])]
    summed = [left[at] for at in shared if at[0] not in kept]
    fits = all(left[at] == right[at] for at in shared)
    # Without a sum it is an element-wise multiplication.
    return (2 * prod(out) * prod(summed) if summed else 0) if fits else None


def _labelled(term: str, shape: Shape) -> dict[tuple[str, int], int]:
    """Return an operand's sizes by letter; those under dots are counted from the right."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after) if dots else 0
    under = [(dots, index) for index in range(-hidden, 0)]
    labels = [*((letter, 0) for letter in before), *under, *((letter, 0) for letter in after)]
    return dict(zip(labels, shape, strict=True))


def _convolution(
    arguments: Arguments, given: Shapes, out: Shape, *, transposed: bool | None = None
) -> int | None:
    source, weight = given[:2]
    if arguments["transposed"] if transposed is None else transposed:
        source, out = out, source
    # Now `out` is where the filter is laid down, once for each of its elements.
    fits = len(out) == len(source) and len(weight) - len(out) in (0, 1) and len(weight) > 2
    return 2 * prod(out) * prod(weight[1:]) if fits and out[1 - len(weight)] == weight[0] else None


def _attention(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    """Count queries with keys and weights with values; each query head has a key of its own."""
    query, key, value = given[:3]
    fits = query[-1] == key[-1] and key[-2] == value[-2] and out[-2:] == (query[-2], value[-1])
    return 2 * prod(out[:-1]) * key[-2] * (query[-1] + value[-1]) if fits else None


def _heads(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    """Count the three projections of an attention layer, its attention, and the last projection."""
    query, key, value = given[:3]
    width, queries = query[-1], prod(query[:-1])
    # Before the output's square weight only the extra key and value are as small as one row.
    before = takewhile(lambda shape: shape != (width, width), given[3:])
    attended = key[0] + any(prod(shape) == width for shape in before)
    attended += bool(arguments.get("add_zero_attn"))
    fits = key[:-1] == value[:-1] and out == query and len(key) == len(query)
    products = 2 * queries * width + prod(key) + prod(value) + 2 * queries * attended
    return 2 * width * products if fits else None


def _recurrent(arguments: Arguments, given: Shapes, out: Shape) -> int | None:
    """Count every weight once for each row of each step; weights alone are matrices here."""
    source, *others = given
    weights = [shape for shape in others if len(shape) == 2]
    fits = weights[0][1] == source[-1] and source[:-1] == out[:-1]
    return 2 * prod(source[:-1]) * sum(map(prod, weights)) if fits else None


def _cell(arguments: Arguments, given: Shapes, out: Shape, *, states: int = 1) -> int | None:
    source, state, (first, second) = *given[:2], given[1 + states : 3 + states]
    fits = first[1:] == source[1:] and second[1:] == state[1:] and state == out
    return 2 * source[0] * (prod(first) + prod(second)) if fits and len(source) == 2 else None


_Formula = Callable[[Arguments, Shapes, Shape], int | None]
_FORMULAS: dict[str, _Formula] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot", "vdot", "linalg_matmul"), _product),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), partial(_product, first=1)),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), partial(_convolution, transposed=False)),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        partial(_convolution, transposed=True),
    ),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _cell),
    "lstm_cell": partial(_cell, states=2),
    "addbmm": _summed,
    "convolution": _convolution,
    "einsum": _einsum,
    "inner": _inner,
    "linear": partial(_product, turned=True),
    "multi_head_attention_forward": _heads,
    "scaled_dot_product_attention": _attention,
    "tensordot": _tensordot,
}
