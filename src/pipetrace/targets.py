"""MODULE:CALLABLE names a model: it is imported, looked up and made, as its own program would."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import types
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from torch import nn

from pipetrace.errors import PipetraceError
from pipetrace.training.imports import as_alone

_FORM = "pipetrace trace model.py:make --input 8,3,224,224"


class Target(NamedTuple):
    """What was named."""

    typed: str
    module: str
    """A module's name; for a file the name that it is imported under."""
    path: str
    """The file, absolute; empty for a module."""
    names: tuple[str, ...]
    """Where in it the callable is found."""


class Made(NamedTuple):
    """A model, and the inputs that came with it."""

    model: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = types.MappingProxyType({})


def find(typed: str) -> Target:
    """Read MODULE:CALLABLE or FILE.py:CALLABLE, and import nothing.

    >>> find("torch.nn:ReLU")[1:]
    ('torch.nn', '', ('ReLU',))

    Raises:
        PipetraceError: it is something else, or there is no such file.
    """
    module, _, callable_ = typed.rpartition(":")
    names = tuple(callable_.split("."))
    if not module or not all(name.isidentifier() for name in names):
        raise PipetraceError(f"{typed!r} names no model. Write where it is made, MODULE:CALLABLE, "
                             f"for example: {_FORM}")  # fmt: skip
    if not module.endswith((".py", ".pyw")) and not {os.sep, "/"} & set(module):
        if not all(part.isidentifier() for part in module.split(".")):
            raise PipetraceError(f"{module!r} is no name of a module. Write the name that "
                                 f"`import` takes, or a file, for example: {_FORM}")  # fmt: skip
        return Target(typed, module, "", names)
    path = os.path.join(os.getcwd(), module)
    if not os.path.isfile(path):
        raise PipetraceError(f"{module}: there is no such file. Name a Python file that is there, "
                             f"or a module, for example: {_FORM}")  # fmt: skip
    return Target(typed, os.path.splitext(os.path.basename(path))[0], path, names)


def alone(target: Target) -> AbstractContextManager[None]:
    """Let a target's code find its imports as if nothing had run before it."""
    folder = os.path.dirname(os.path.realpath(target.path)) if target.path else os.getcwd()
    words = (target.path or target.module,)
    return as_alone(None if sys.flags.safe_path else folder, words, words)


def make(target: Target) -> Made:
    """Import a target and make its model; what the user's code raises is passed on.

    Raises:
        PipetraceError: there is no such module or callable, it needs arguments, or what it gave is
            no model.
    """
    module = _file(target) if target.path else _module(target)
    thing: Any = module
    for number, name in enumerate(target.names):
        if not hasattr(thing, name):
            raise PipetraceError(_absent(target, module, thing, number))
        thing = getattr(thing, name)
    if isinstance(thing, nn.Module):
        return Made(thing)
    if not callable(thing):
        raise _no_model(target, f"is {_kind(thing)}")
    needs = _misfit(thing)
    if needs:
        raise PipetraceError(
            f"{target.typed}: {target.names[-1]}{needs[0]} cannot be called without arguments. "
            "Name a function that takes none and returns the model."
        )
    return _made(target, thing())


def require_fit(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Require that a model's `forward` takes these inputs.

    Raises:
        PipetraceError: it takes others; the message names them.
    """
    misfit = _misfit(model.forward, *args, **kwargs)
    if misfit:
        raise PipetraceError(
            f"The inputs do not fit {type(model).__name__}.forward{misfit[0]}: {misfit[1]}. Name a "
            "shape for each, in this order with --input 8,3,224,224 or by name with "
            "--keyword mask=8,128:bool"
        )


def _made(target: Target, result: Any) -> Made:
    if isinstance(result, nn.Module):
        return Made(result)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], nn.Module)):
        raise _no_model(target, f"returned {_kind(result)}")
    model, inputs = result
    if isinstance(inputs, Mapping):
        return Made(model, (), inputs)
    return Made(model, inputs if type(inputs) is tuple else (inputs,))


def _module(target: Target) -> types.ModuleType:
    try:
        __import__(target.module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target.module}.".startswith(f"{error.name}."):
            raise
        raise PipetraceError(
            f"No module named {error.name} was found from {os.getcwd()}. Name one that can be "
            f"imported from here, or its file, for example: {_FORM}"
        ) from None
    return sys.modules[target.module]


def _file(target: Target) -> types.ModuleType:
    """Import a file by its path; none of the import system's frames are in its tracebacks."""
    with open(target.path, "rb") as file:
        source = file.read()
    taken = target.module in sys.modules or target.module == "torch"
    module = types.ModuleType(f"{target.module}_" if taken else target.module)
    module.__file__ = target.path
    sys.modules[module.__name__] = module
    exec(compile(source, target.path, "exec", dont_inherit=True), module.__dict__)
    return module


def _absent(target: Target, module: types.ModuleType, thing: Any, number: int) -> str:
    name = target.names[number]
    place = ".".join((target.typed.rpartition(":")[0], *target.names[:number]))
    known = [key for key in dir(thing) if not key.startswith("_")]
    near = (
        difflib.get_close_matches(name, known, 3)
        or [key for key in known if thing is module and _makes(module, key)][:5]
    )
    hint = f" Did you mean {' or '.join(near)}?" if near else " It has nothing that makes a model."
    return f"{place} has no {name}.{hint}"


def _makes(module: types.ModuleType, name: str) -> bool:
    """Tell whether a name of a module may stand for a model of its own."""
    thing = getattr(module, name)
    own = getattr(thing, "__module__", None) == module.__name__
    modular = isinstance(thing, type) and issubclass(thing, nn.Module)
    return isinstance(thing, nn.Module) or (own and (modular or inspect.isfunction(thing)))


def _misfit(function: Any, *args: Any, **kwargs: Any) -> tuple[str, str] | None:
    """Return a function's signature and why these arguments do not fit it; None where they do."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        plain = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        names = signature.replace(parameters=plain, return_annotation=signature.empty)
        return str(names), str(error)
    return None


def _no_model(target: Target, what: str) -> PipetraceError:
    return PipetraceError(
        f"{target.typed} {what}, and no nn.Module. Name a module, a class of one, or a function "
        "that returns one, alone or as (module, inputs)."
    )


def _kind(thing: Any) -> str:
    name = type(thing).__name__
    return "None" if thing is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


__all__ = ["Made", "Target", "alone", "find", "make", "require_fit"]
