"""What an operation does is said in a sentence with the arguments it was really called with."""

from __future__ import annotations

import math

from pipetrace.records import Op
from pipetrace.story.sentences import FIXED, LOSSES, PAIRS, SENTENCES, argument, choose, plain_name

_SYNONYMS = {
    "radd": "add", "iadd": "add", "rmul": "mul", "imul": "mul", "multiply": "mul", "isub": "sub",
    "subtract": "sub", "truediv": "div", "divide": "div", "itruediv": "div", "rtruediv": "rdiv",
    "rdivide": "rdiv", "true_divide": "div", "rmatmul": "matmul", "mm": "matmul", "bmm": "matmul",
    "baddbmm": "matmul", "concat": "cat", "concatenate": "cat", "swish": "silu",
    "negative": "neg", "empty_like": "empty", "new_empty": "empty",
    "native_layer_norm": "layer_norm", "clip": "clamp",
}  # fmt: skip
_RESHAPES = frozenset(
    {"view", "reshape", "flatten", "unflatten", "ravel", "transpose", "permute", "swapaxes",
     "swapdims", "movedim", "moveaxis", "squeeze", "unsqueeze", "expand", "expand_as", "view_as",
     "broadcast_to", "contiguous", "t", "T", "mT"}
)  # fmt: skip
"""Functions whose output has the values of their input, copied or not."""
_LOOKS = frozenset(
    {"getitem", "select", "narrow", "chunk", "split", "unbind", "detach", "to", "type_as", "float",
     "diagonal", "alias", "unfold", "H", "mH", "split_with_sizes", "tensor_split", "as_strided",
     "unsafe_chunk", "unsafe_split", "real", "imag", "data"}
)  # fmt: skip
"""Functions that look at a part of their input, where nothing was copied."""


def describe(op: Op) -> str:
    """Say in plain words what an operation does, with its real arguments and sizes.

    >>> describe(Op(capture=0, index=0, function="relu"))
    'Negative values become 0, the others pass unchanged.'
    >>> describe(Op(capture=0, index=0, function="erfinv"))
    'Calls erfinv. There is no description of this operation; what it returned is measured below.'
    """
    if op.opaque:
        return (
            f"Opaque: {op.opaque}. What went on inside was not traced; what it returned is "
            "measured below."
        )
    plain = plain_name(op.function)
    known = _SYNONYMS.get(plain, plain)
    words = FIXED.get(known) or (SENTENCES[known](op) if known in SENTENCES else "")
    if not words and known in PAIRS:
        words = choose(op, *PAIRS[known])
    if not words and known in LOSSES:
        words = f"A loss: {LOSSES[known]}."
    if not words and is_view(op):
        which = "Some of its" if part(op) else "The same"
        words = f"{which} values, looked at in another way."
    if not words:
        return (
            f"Calls {call(op)}. There is no description of this operation; "
            "what it returned is measured below."
        )
    in_place = op.function.endswith("_") or argument(op, "inplace") == "True"
    return words + (" It writes over its input." if in_place else "")


def call(op: Op) -> str:
    """Write the operation as a call with its plain arguments, cut at 80 characters.

    >>> from pipetrace.records import Argument
    >>> call(Op(capture=0, index=0, function="sum", arguments=(Argument("dim", "1"),)))
    'sum(dim=1)'
    """
    inside = ", ".join(f"{item.name}={item.value}" for item in op.arguments)
    if not inside:
        return op.function
    return f"{op.function}({inside if len(inside) <= 80 else inside[:79] + '…'})"


def part(op: Op) -> bool:
    """Tell whether an operation has fewer values than the tensor that it looks at.

    >>> part(Op(capture=0, index=0, function="getitem", input_shapes=((1, 512),)))
    False
    """
    if not op.input_shapes or not op.outputs:
        return False
    return math.prod(op.outputs[0].shape) < math.prod(op.input_shapes[0])


def is_view(op: Op) -> bool:
    """Tell whether an operation only looks at its input's values in another way.

    >>> is_view(Op(capture=0, index=0, function="flatten"))
    True
    >>> is_view(Op(capture=0, index=0, function="dropout", view=True))
    False
    """
    plain = plain_name(op.function)
    return plain in _RESHAPES or (op.view and plain in _LOOKS)
