"""What a function is called, and what its arguments are called, in the words of its documentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

# Swapping the operands of a difference, quotient or power is another op: rsub, rdiv, rpow.
_REFLECTED = {"radd": "add", "rmul": "mul", "rtruediv": "rdiv", "truediv": "div",
              "iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_",
              "floordiv": "floor_divide", "rmatmul": "matmul", "mod": "remainder"}  # fmt: skip
# C functions carry no signature: these are the names in their documentation.
_DOCUMENTED = {
    "flatten": ("input", "start_dim", "end_dim"),
    "transpose": ("input", "dim0", "dim1"),
    "softmax": ("input", "dim"),
    "log_softmax": ("input", "dim"),
    "sum": ("input", "dim", "keepdim"),
    "mean": ("input", "dim", "keepdim"),
    "amax": ("input", "dim", "keepdim"),
    "max": ("input", "dim", "keepdim"),
    "argmax": ("input", "dim", "keepdim"),
    "cat": ("tensors", "dim"),
    "stack": ("tensors", "dim"),
    "chunk": ("input", "chunks", "dim"),
    "split": ("tensor", "split_size_or_sections", "dim"),
    "squeeze": ("input", "dim"),
    "unsqueeze": ("input", "dim"),
    "getitem": ("input", "index"),
    "linear": ("input", "weight", "bias"),
    "conv1d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv3d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool1d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "max_pool3d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool1d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "avg_pool3d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "rsub": ("input", "other"),
    "rdiv": ("input", "other"),
    "rpow": ("input", "other"),
    "dropout": ("input", "p", "train"),
    "dropout_": ("input", "p", "train"),
    "alpha_dropout": ("input", "p", "train"),
    "feature_dropout": ("input", "p", "train"),
    "masked_fill": ("input", "mask", "value"),
    "matmul": ("input", "other"),
    "pow": ("input", "exponent"),
    "add": ("input", "other"),
    "sub": ("input", "other"),
    "mul": ("input", "other"),
    "div": ("input", "other"),
    "gelu": ("input", "approximate"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p",
                                     "is_causal"),
    "lstm": ("input", "hx", "flat_weights", "has_biases", "num_layers", "dropout", "training",
             "bidirectional", "batch_first"),
    "gru": ("input", "hx", "flat_weights", "has_biases", "num_layers", "dropout", "training",
            "bidirectional", "batch_first"),
}  # fmt: skip
_SHAPES = {"view", "reshape", "permute", "expand", "repeat", "tile"}
_signatures: dict[Any, tuple[str, ...]] = {}


def plain_name(function: Callable[..., Any]) -> str:
    """Return a function's plain name: `add` for `Tensor.__radd__`, `T` for a property.

    >>> plain_name(torch.Tensor.__add__), plain_name(torch.nn.functional.relu)
    ('add', 'relu')
    """
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", "property"))
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
    return _REFLECTED.get(name, name)


def named_arguments(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by the names of the function's documentation."""
    if name in _SHAPES and args:
        sizes = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
        return {"input": args[0], "size": tuple(sizes), **kwargs} if sizes else {**kwargs}
    known = _signatures.get(function)
    if known is None:
        known = _signatures[function] = _positions(function, name)
    named = {
        known[index] if index < len(known) else f"argument {index + 1}": value
        for index, value in enumerate(args)
    }
    return {**named, **kwargs}


def _positions(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
        positional = tuple(
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        )
        if positional and positional[0] not in ("args", "self"):
            return positional
    except (TypeError, ValueError):
        pass
    return _DOCUMENTED.get(name, ("input",))


def worded(value: Any) -> str:
    """Return an argument's value in a few words; a tensor is told by its shape."""
    if isinstance(value, torch.Tensor):
        return "tensor of " + " × ".join(map(str, value.shape)) if value.dim() else "scalar tensor"
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop)]
        return ":".join(parts) if value.step is None else ":".join([*parts, str(value.step)])
    if isinstance(value, (tuple, list)) and len(value) <= 8:
        return "(" + ", ".join(worded(item) for item in value) + ")"
    if isinstance(value, (str, bool, int, float, torch.dtype, torch.device)) or value is None:
        return str(value)[:80]
    return "..." if value is Ellipsis else type(value).__name__
