"""An architecture passes if nothing tells a traced forward from a plain one, and all is linked."""

from __future__ import annotations

import dataclasses
import random
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import pipetrace as pt
from pipetrace import records
from zoo.architectures import Architecture

SEED = 1234
LINKED = {"op", "input", "parameter", "buffer"}


BLIND = {"scripted-function", "round-trip-through-NumPy"}
"""Nobody can see what goes on inside of these: it must be told that something did."""


class Verdict(NamedTuple):
    """What was found of one architecture in one mode."""

    name: str
    mode: str
    status: str
    """`pass`, `fail` or `not built`."""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What does not fail it: opaque ops, a forward that does not repeat itself."""
    ops: int = 0
    seconds: float = 0.0


class Observation(NamedTuple):
    """Everything that a forward and a backward left behind, as bytes that can be compared."""

    outputs: dict[str, Any]
    kinds: tuple[str, ...]
    gradients: dict[str, Any]
    after_forward: dict[str, Any]
    after_backward: dict[str, Any]
    left_behind: dict[str, Any]
    run: pt.Run | None


def examine(architecture: Architecture, *, training: bool) -> Verdict:
    """Compare a traced forward of an architecture with a plain one.

    Args:
        architecture: The model to make twice, from the same seed.
        training: Whether the model is put in train or in eval mode.
    """
    mode = "train" if training else "eval"
    try:
        plain = observe(architecture, training=training, traced=False)
    except Exception as error:
        return Verdict(architecture.name, mode, "not built", (f"without us: {worded(error)}",))
    try:
        traced = observe(architecture, training=training, traced=True)
    except Exception as error:
        return Verdict(architecture.name, mode, "fail", (f"raised: {worded(error)}",))
    reasons = list(differences(plain, traced))
    notes: list[str] = []
    if reasons:
        again = observe(architecture, training=training, traced=False)
        unstable = set(differences(plain, again))
        notes += [f"does not repeat itself without us: {reason}" for reason in sorted(unstable)]
        reasons = [reason for reason in reasons if reason not in unstable]
    assert traced.run is not None
    reasons += receipt_problems(traced.run)
    if architecture.name in BLIND:
        if not any(link.source == "unseen" for op in traced.run.ops for link in op.inputs):
            reasons.append("what was made out of sight is not told as unseen")
    else:
        reasons += link_problems(traced.run.ops)
    notes += opaque(traced.run.ops)
    return Verdict(architecture.name, mode, "fail" if reasons else "pass", tuple(reasons),
                   tuple(notes), len(traced.run.ops))  # fmt: skip


def observe(architecture: Architecture, *, training: bool, traced: bool) -> Observation:
    """Make a model from the seed, run a forward and a backward, and note what they left."""
    seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = architecture.build()
        model.train(training)
        args, kwargs = architecture.inputs(model)
        seed(SEED + 1)
        run = pt.trace(model, *args, **kwargs) if traced else None
        output = model(*args, **kwargs) if run is None else run.output
        found = list(tensors(output))
        given = dict(tensors({"args": args, **kwargs}))
        after_forward = _state(model) | {f"input {path}": _bits(t) for path, t in given.items()}
        outputs = {path: _bits(tensor) for path, tensor in found}
        attributes = _attributes(model, [*found, *given.items()])
        loss = _loss([tensor for _, tensor in found])
        if loss is not None:
            loss.backward()
    gradients = {
        name: None if parameter.grad is None else _bits(parameter.grad)
        for name, parameter in model.named_parameters()
    }
    return Observation(outputs, (type(output).__name__, *outputs), gradients, after_forward,
                       _state(model), attributes, run)  # fmt: skip


def differences(one: Observation, other: Observation) -> Iterator[str]:
    """Yield what two observations do not have in common, in words."""
    if one.kinds != other.kinds:
        yield f"the output is made of {other.kinds}, not of {one.kinds}"
    places = (
        ("output", one.outputs, other.outputs),
        ("gradient", one.gradients, other.gradients),
        ("after the forward", one.after_forward, other.after_forward),
        ("after the backward", one.after_backward, other.after_backward),
        ("left behind", one.left_behind, other.left_behind),
    )
    for what, first, second in places:
        names = [name for name in first | second
                 if name not in first or name not in second
                 or not _same(first[name], second[name])]  # fmt: skip
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{what}: {names[0]}{more} differs"


def receipt_problems(run: pt.Run) -> Iterator[str]:
    """Yield what is wrong with the receipt of a trace."""
    captures = run.recording.all(records.Capture)
    if not captures:
        yield "no forward was captured: " + "; ".join(
            notice.text for notice in run.recording.all(records.Notice))  # fmt: skip
        return
    receipt = captures[0].receipt
    if not captures[0].complete:
        last = f"{run.ops[-1].function} in {run.ops[-1].module or 'the root'}" if run.ops else "no"
        yield f"the traced forward raised after {len(run.ops)} ops, the last of them {last}"
    elif receipt is None:
        yield "there is no receipt"
    if receipt is None:
        return
    # A forward that does not repeat itself, or whose fused path was off, is said to be one.
    if receipt.equal is not True and receipt.repeats is not False and not receipt.unfused:
        yield (f"receipt: equal={receipt.equal}, repeats={receipt.repeats}, "
               f"unfused={receipt.unfused}, difference={receipt.difference}")  # fmt: skip
    for check in receipt.checks:
        if check.ok is False:
            yield f"receipt: {check.name} not as before ({check.detail})"


def link_problems(ops: list[records.Op]) -> Iterator[str]:
    """Yield the inputs of ops that come from nowhere, equal ones once, with how many."""
    if not ops:
        yield "no op was traced"
    problems: Counter[str] = Counter()
    first: dict[str, str] = {}
    known: set[int] = set()
    for op in ops:
        for position, link in enumerate(op.inputs):
            wrong = _wrong(link, known)
            if wrong:
                key = f"{op.function} input {position}: {wrong}"
                problems[key] += 1
                first.setdefault(key, f"op {op.index} in {op.module or 'the root'}")
        known.add(op.index)
    for key, count in problems.items():
        yield f"link: {key} ({first[key]}{f', {count} in all' if count > 1 else ''})"


def opaque(ops: list[records.Op]) -> list[str]:
    """Return a word on each op of which nothing is known inside."""
    return [f"opaque: op {op.index} {op.function} ({op.opaque})" for op in ops if op.opaque]


def tensors(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of an output with its path: no code of the tracer is used for it."""
    if isinstance(value, torch.Tensor):
        yield path or "output", value
    elif depth > 6 or isinstance(value, (str, bytes, type, nn.Module)) or callable(value):
        return
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from tensors(child, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, child in enumerate(value):
            yield from tensors(child, f"{path}[{index}]", depth + 1)
    elif dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        for name, child in vars(value).items():
            yield from tensors(child, f"{path}.{name}", depth + 1)


def worded(error: BaseException) -> str:
    """Return an exception on one line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"


def _wrong(link: records.Link, known: set[int]) -> str:
    if link.source == "op":
        return "" if link.index in known else f"an op {link.index} that has not run yet"
    if link.source in LINKED:
        return "" if link.name else f"a {link.source} without a name"
    if link.source == "constant":
        return "" if link.name else "an unnamed constant"
    return f"of an unknown source {link.source!r}"


def seed(number: int) -> None:
    """Begin every random stream from the same number."""
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def _state(model: nn.Module) -> dict[str, Any]:
    """Return what must be as without us: streams, modes and buffers."""
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    return {
        "torch's stream": _bits(torch.get_rng_state()),
        "numpy's stream": (legacy["state"]["key"].tobytes(), legacy["state"]["pos"]),
        "Python's stream": random.getstate(),
        "gradients enabled": torch.is_grad_enabled(),
        "function modes": torch._C._len_torch_function_stack(),
        **{f"mode of {name or 'the root'}": each.training for name, each in model.named_modules()},
        **{f"buffer {name}": _bits(buffer) for name, buffer in model.named_buffers()},
        **{f"parameter {name}": _bits(each) for name, each in model.named_parameters()},
    }


def _attributes(model: nn.Module, found: list[tuple[str, torch.Tensor]]) -> dict[str, Any]:
    """Return what a tracer could leave behind: attributes of tensors and modules, and hooks."""
    named = [*model.named_parameters(), *model.named_buffers(), *found]
    hooks = torch.nn.modules.module
    return {
        **{f"attributes of {name}": sorted(vars(tensor)) for name, tensor in named},
        **{f"attributes of {name or 'the root'}": sorted(vars(each))
           for name, each in model.named_modules()},
        **{f"hooks of {name or 'the root'}": (len(each._forward_hooks),
                                              len(each._forward_pre_hooks),
                                              len(each._backward_hooks))
           for name, each in model.named_modules()},
        "global hooks": (len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)),
    }  # fmt: skip


def _bits(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return a tensor as a dtype, a shape and bytes: NaN equals NaN, and -0.0 is not 0.0."""
    plain = tensor.detach()
    if plain.is_nested:
        return ("nested", *(_bits(part) for part in plain.unbind()))
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    flat = plain.resolve_conj().resolve_neg().contiguous().reshape(-1).clone()
    data = flat.view(torch.uint8) if flat.numel() else flat
    return str(plain.dtype), tuple(plain.shape), plain.requires_grad, data


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, tuple):
        return (isinstance(other, tuple) and len(one) == len(other)
                and all(map(_same, one, other)))  # fmt: skip
    return bool(one == other)


def _loss(found: list[torch.Tensor]) -> torch.Tensor | None:
    """Return a scalar in which every floating output has a weight of its own for each element."""
    total: torch.Tensor | None = None
    for tensor in found:
        if not tensor.requires_grad:
            continue
        real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        weights = torch.linspace(0.5, 1.5, real.numel(), dtype=real.dtype).reshape(real.shape)
        part = (real * weights).sum().double()
        total = part if total is None else total + part
    return total
