"""Functions of PyTorch's that do their work in others are run so that the others are heard."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def unguarded(function: Any) -> FunctionType:
    """Return a Python function of PyTorch's that does not ask for function modes again.

    A mode hears of `multi_head_attention_forward` before its first line, and is off inside: the
    dropout in it would never be seen. This one runs the same code with the mode still on.
    """
    inside = {
        **function.__globals__,
        "has_torch_function": _never,
        "has_torch_function_unary": _never,
    }
    twin = FunctionType(function.__code__, inside, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _never(*tensors: Any) -> bool:
    return False
