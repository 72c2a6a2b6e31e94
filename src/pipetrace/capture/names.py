"""What a function and its arguments are called, in the words of their documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from numbers import Number
from types import MethodDescriptorType
from typing import Any, NamedTuple

import torch

# Swapping the operands of a difference, quotient or power is another op: rsub, rdiv, rpow.
_REFLECTED = {"radd": "add", "rmul": "mul", "rtruediv": "rdiv", "truediv": "div",
              "iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_",
              "floordiv": "floor_divide", "rmatmul": "matmul", "mod": "remainder"}  # fmt: skip
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
# C functions whose documentation does not tell the names of their arguments, or tells others.
_KNOWN = {
    **dict.fromkeys(
        ("add", "sub", "mul", "div", "pow", "matmul", "rsub", "rdiv", "rpow", "remainder",
         "floor_divide", "and", "or", "xor", "eq", "ne", "lt", "le", "gt", "ge"),
        ("input", "other"),
    ),
    **dict.fromkeys(
        ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "native_dropout"),
        ("input", "p", "train"),
    ),
    **dict.fromkeys(
        ("max_pool1d", "max_pool2d", "max_pool3d"),
        ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    ),
    **dict.fromkeys(
        RECURRENT,
        ("input", "hx", "flat_weights", "has_biases", "num_layers", "dropout", "training",
         "bidirectional", "batch_first"),
    ),
    "getitem": ("input", "index"),
    "setitem": ("input", "index", "value"),
    "log_softmax": ("input", "dim"),
    "masked_fill": ("input", "mask", "value"),
    "pow": ("input", "exponent"),
    "split": ("input", "split_size_or_sections", "dim"),
    "squeeze": ("input", "dim"),
    "tensor": ("data",),
}  # fmt: skip
_PACKED = ("input", "batch_sizes", "hx", "flat_weights")
_NESTED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NAMED = re.compile(r"(?:^|,)\s*(\*?\w+)")
_SAID = (str, Number, torch.dtype, torch.device, torch.layout, torch.memory_format)
_SILENT = {
    "size", "dim", "numel", "stride", "storage_offset", "data_ptr", "shape", "dtype", "device",
    "requires_grad", "requires_grad_", "grad", "grad_fn", "is_leaf", "detach", "register_hook",
    "data", "is_nested", "layout", "is_sparse", "is_quantized", "is_cuda", "is_mps", "ndim",
    "is_floating_point", "is_complex", "is_contiguous", "element_size", "get_device", "names",
    "output_nr", "itemsize", "nbytes",
}  # fmt: skip
"""What is asked of a tensor, or gives the same tensor again: no ops of a forward."""
_RANDOM = re.compile(
    r"\w*dropout\d?d?_?|bernoulli_?|rand(n|int)?(_like)?|randperm|normal_?|multinomial|poisson"
    r"|exponential_|geometric_|cauchy_|log_normal_|uniform_|random_|rrelu_?|gumbel_softmax"
    r"|scaled_dot_product_attention|lstm|gru|rnn_(tanh|relu)|fractional_max_pool\w*|binomial"
    r"|trunc_normal_|xavier_\w+|kaiming_\w+|_standard_gamma|_sample_dirichlet"
)
"""PyTorch's functions that may draw random numbers."""
_COMPOSITE = {"multi_head_attention_forward", "gumbel_softmax"}
_plans: dict[Any, Plan] = {}


class Plan(NamedTuple):
    """What is known of a function before it is called."""

    function: Callable[..., Any]
    name: str
    positions: tuple[str, ...]
    """What its positional arguments are called."""
    silent: bool
    """It computes nothing."""
    inplace: bool
    """It writes into its first tensor."""
    random: bool | None
    """Whether it may draw random numbers; None for functions that are not PyTorch's."""
    composite: bool
    """Other functions of PyTorch's do its work, which can be watched one by one."""


def plan(function: Callable[..., Any]) -> Plan:
    """Return what is known of a function that a function mode was told of."""
    known = _plans.get(function)
    if known is None:
        name = plain_name(function)
        theirs = str(getattr(function, "__module__", None) or "torch").startswith("torch")
        # torch.ops.library.name may be anybody's C++.
        custom = isinstance(function, (torch._ops.OpOverload, torch._ops.OpOverloadPacket))
        unknown = not theirs or (custom and not str(function).startswith("aten"))
        known = _plans[function] = Plan(
            function, name, _positions(function, name),
            # The function is an op, the property of the same name is not.
            name in _SILENT and function is not torch.autograd.grad,
            name == "setitem" or (name.endswith("_") and not name.endswith("__")),
            None if unknown else _RANDOM.fullmatch(name) is not None,
            name in _COMPOSITE and inspect.isfunction(function),
        )  # fmt: skip
    return known


def plain_name(function: Callable[..., Any]) -> str:
    """Return a function's plain name: `add` for `Tensor.__radd__`, `T` for a property.

    >>> plain_name(torch.Tensor.__add__), plain_name(torch.nn.functional.relu)
    ('add', 'relu')
    """
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", "property"))
    # An overload of an operator, as in torch.ops.aten.add.Tensor, carries its own name.
    name = name.partition(".")[0]
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
    return _REFLECTED.get(name, name)


def arguments(known: Plan, told: Iterable[tuple[int | str, Any]]) -> dict[str, Any]:
    """Give a call's arguments the names of the function's documentation.

    Args:
        known: The function.
        told: Arguments with their position or keyword, in the order of the call.

    >>> arguments(plan(torch.nn.functional.dropout), [(1, 0.3), ("training", True)])
    {'p': 0.3, 'training': True}
    """
    named: dict[str, Any] = {}
    rest: list[Any] = []
    positions = known.positions
    if known.name in RECURRENT and (told := list(told)) and told[0][0] == len(_PACKED):
        # Of packed sequences there are four tensors before the numbers, else three.
        positions = (*_PACKED, *positions[3:])
    for place, value in told:
        if isinstance(place, str):
            named[place] = value
        elif positions and positions[-1][0] == "*" and place >= len(positions) - 1:
            rest.append(value)
        elif place < len(positions):
            named[positions[place]] = value
        else:
            named[f"argument {place + 1}"] = value
    if rest:
        alone = len(rest) == 1 and isinstance(rest[0], tuple)
        named[positions[-1][1:]] = rest[0] if alone else tuple(rest)
    return named


def _positions(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return what a function calls its arguments: in its code, here, or in its documentation."""
    if inspect.isfunction(function) and (given := _signature(function)):
        return given
    schema = getattr(getattr(function, "default", function), "_schema", None)
    if schema is not None:
        keys = [argument.name for argument in schema.arguments if not argument.kwarg_only]
        return ("input", *keys[1:]) if keys[:1] == ["self"] else tuple(keys)
    known = _KNOWN.get(name) or _KNOWN.get(name.removesuffix("_"))
    return known or _documented(function, name) or ("input",)


def _signature(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        # A Python function may wrap a C one.
        return ()
    given = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not given:
        return ()
    rest = [f"*{p.name}" for p in parameters if p.kind is p.VAR_POSITIONAL]
    return ("input" if given[0] == "self" else given[0], *given[1:], *rest)


def _documented(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Read the longest list of positional arguments in a C function's documentation.

    One that takes all that follow, as in `view(*shape)`, keeps its star.
    """
    longest: list[str] = []
    head = rf"^\s*(?:\.\. function:: )?(?:torch\.)?{re.escape(name)}"
    call = re.compile(head + r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)", re.MULTILINE)
    for line in call.finditer(function.__doc__ or ""):
        found = _NAMED.findall(_NESTED.sub("", line[1]).partition(" *,")[0])
        if "..." not in line[1]:
            longest = max(longest, found, key=len)
    owner = ["input"] if longest and isinstance(function, MethodDescriptorType) else []
    return (*owner, *longest)


def worded(value: Any, *, values: bool = True) -> str:
    """Return an argument's value in a few words; a tensor is told by its shape.

    Args:
        value: Anything a function may be given.
        values: Whether numbers in lists may be told: they may be somebody's data.

    >>> worded((slice(None), 0)), worded([0.25, 1.5], values=False)
    ('(:, 0)', '2 numbers')
    """
    if isinstance(value, torch.Tensor):
        return "tensor of " + " × ".join(map(str, value.shape)) if value.dim() else "scalar tensor"
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop)]
        return ":".join(parts) if value.step is None else ":".join([*parts, str(value.step)])
    if isinstance(value, (tuple, list)) and len(value) <= 8:
        if not values and any(isinstance(item, float) for item in value):
            return f"{len(value)} number{'' if len(value) == 1 else 's'}"
        return "(" + ", ".join(worded(item, values=values) for item in value) + ")"
    if isinstance(value, _SAID) or value is None:
        return str(value)[:80]
    return "..." if value is Ellipsis else type(value).__name__
