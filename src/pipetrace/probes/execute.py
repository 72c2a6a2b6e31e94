"""A snippet of ours runs in a fresh namespace and leaves the process as it found it."""

from __future__ import annotations

import ast
import contextlib
import io
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy
import torch
from torch import nn
from torch.nn import functional

from pipetrace.records import Outcome

_DECIMALS = 4


def execute(code: str, names: Mapping[str, Any] | None = None, *, seed: int = 0) -> Outcome:
    """Run a snippet and return what its last expression came to, or what it raised.

    It finds `torch`, `nn` and `F` (torch.nn.functional), draws from a CPU generator at `seed`, and
    computes in float32 on the CPU with gradients on, whatever the process has set. Random streams
    of torch, numpy and Python, grad mode, default dtype, device and threads are put back.

    Args:
        code: Python statements; only ever our own, recorded facts enter as numbers.
        names: further names that the snippet may use.
        seed: where the CPU generator starts.

    >>> execute("nn.Dropout(0.5).eval()(torch.ones(4))").value
    '[1.0, 1.0, 1.0, 1.0]'
    >>> execute("nn.Dropout(30)").error
    'ValueError'
    """
    space: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "__name__": "snippet"}
    space.update(names or {})
    printed = io.StringIO()
    try:
        with apart(seed), contextlib.redirect_stdout(printed):
            statements, last = _compiled(code)
            exec(statements, space)
            value = None if last is None else eval(last, space)
            fields = (
                {str(name): _text(item) for name, item in value.items()}
                if isinstance(value, dict)
                else {}
            )
            text = _text(value)
    except Exception as error:  # whatever the snippet raises is its outcome
        return Outcome(error=type(error).__name__, message=str(error), printed=printed.getvalue())
    return Outcome(value=text, fields=fields, printed=printed.getvalue())


@lru_cache(maxsize=1024)
def _compiled(code: str) -> tuple[CodeType, CodeType | None]:
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    return (
        compile(tree, "<snippet>", "exec"),
        compile(ast.Expression(last.value), "<snippet>", "eval")
        if isinstance(last, ast.Expr)
        else None,
    )


@contextlib.contextmanager
def apart(seed: int) -> Iterator[None]:
    """Give a snippet its own world of random streams and defaults, and put the old one back."""
    generator = torch.default_generator
    streams = (generator.get_state(), numpy.random.get_state(), random.getstate())
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch has no hint
    devices = torch.cuda.get_rng_state_all() if started else None
    # Before a GPU is used, torch keeps the seed that it shall get: a snippet's must not replace it.
    waiting = getattr(torch.cuda, "_lazy_seed_tracker", None)
    seeds = dict(vars(waiting)) if waiting is not None and not started else {}
    if "call_order" in seeds:
        seeds["call_order"] = list(seeds["call_order"])
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    moved = torch.get_default_device().type != "cpu"
    try:
        with (
            warnings.catch_warnings(),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.device("cpu") if moved else contextlib.nullcontext(),
            _unhooked(),
        ):
            warnings.simplefilter("ignore")
            torch.set_default_dtype(torch.float32)
            generator.manual_seed(seed)
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        generator.set_state(streams[0])
        numpy.random.set_state(streams[1])
        random.setstate(streams[2])
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)
        if seeds:
            vars(waiting).update(seeds)


@contextlib.contextmanager
def _unhooked() -> Iterator[None]:
    """Keep the user's global hooks from hearing of our modules and optimizers."""
    tables = [
        hooks
        for owner in (sys.modules["torch.nn.modules.module"], sys.modules["torch.optim.optimizer"])
        for name, hooks in vars(owner).items()
        if name.startswith("_global_") and isinstance(hooks, dict) and hooks
    ]
    kept = [dict(hooks) for hooks in tables]
    try:
        for hooks in tables:
            hooks.clear()
        yield
    finally:
        for hooks, before in zip(tables, kept, strict=True):
            hooks.update(before)


def _text(value: Any) -> str:
    """Write a value as a learner would expect it, numbers with at most 4 decimals."""
    if isinstance(value, torch.Size):
        return str(tuple(value))
    if isinstance(value, torch.Tensor):
        return _text(value.detach().tolist())
    if isinstance(value, float):
        return str(round(value, _DECIMALS) + 0.0)
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    if isinstance(value, tuple):
        inside = ", ".join(_text(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return str(value)
