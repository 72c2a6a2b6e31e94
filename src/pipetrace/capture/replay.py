"""A forward is played again under the tracer, compared bit for bit, and everything is put back."""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipetrace.capture import trees
from pipetrace.capture.guard import Modes, Snapshot, Streams, identical
from pipetrace.capture.tracer import Failed, Tracer
from pipetrace.records import Capture, Check, Fact, Receipt
from pipetrace.summarise import describe


class Call(NamedTuple):
    """One call of a root module: from this it can be played again."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    snapshot: Snapshot
    gradients: tuple[tuple[int, int], ...]


class Outcome(NamedTuple):
    """What a traced replay gave."""

    facts: list[Fact]
    output: Any
    failed: Failed | None
    error: Exception | None
    random: bool
    """The forward drew from a random stream, whichever."""


def prepare(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Keep all that is needed to play a forward again: to be called right before it."""
    with torch.inference_mode(False), torch.no_grad():
        return Call(model, trees.rebuild(args, torch.clone), trees.rebuild(kwargs, torch.clone),
                    Snapshot(model), _gradients(model))  # fmt: skip


def shared() -> bool:
    """Tell whether other processes take part: a forward of ours alone could wait for them."""
    parallel = torch.distributed
    return parallel.is_available() and parallel.is_initialized() and parallel.get_world_size() > 1


def traceable(model: nn.Module) -> bool:
    """Tell whether a module can be replayed here: whole, plain and initialised."""
    if isinstance(model, torch.jit.ScriptModule) or shared():
        return False
    return not any(map(is_lazy, (*model.parameters(), *model.buffers())))


def replay(
    call: Call,
    *,
    id: int,
    model_id: int,
    purpose: str,
    original: Any = None,
    compare: bool = True,
    modes: Modes = None,
    row: int = 0,
    values: bool = True,
    epoch: int = 0,
    step: int = 0,
) -> Outcome:
    """Play a forward again under the tracer.

    Args:
        call: The forward, as `prepare` kept it.
        id: The capture's id.
        model_id: The root's id.
        purpose: `training`, `evaluation`, `prediction`, `trace` or `failure`.
        original: What the user's own forward returned.
        compare: Whether to compare with `original` and write a receipt.
        modes: The modes to play it in; None for those it was called in.
        row: Which row of the batch values are kept of.
        values: Whether real values may be kept.
        epoch: Epochs completed before it.
        step: Optimizer steps before it.

    Returns:
        The records (ops, then the capture), the replay's output, and the op that raised, if one.
    """
    started = time.perf_counter()
    model, rows = call.model, trees.rows((call.args, call.kwargs))
    before = Snapshot(model)
    grads = _gradients(model)
    output, error = None, None
    with call.snapshot.replayed(modes), _unheard():
        mode = bool(model.training)
        args, kwargs = _fresh(call)
        inputs = _name_inputs(args, kwargs)
        tracer = Tracer(model, id, row=row, rows=rows, values=values)
        tracer.admit(inputs)
        described = tuple(
            (name, describe(t, row=tracer._row_of(t), values=values)) for name, t in inputs
        )
        try:
            with tracer.watching():
                output = model(*args, **kwargs)
        except Exception as raised:
            error = raised
        random = not call.snapshot.streams.same(Streams.take())
    outputs = tuple(
        (name, describe(t, row=tracer._row_of(t), values=values))
        for name, t in trees.leaves(output)
    )
    receipt = None
    if compare and error is None:
        receipt = _receipt(call, original, output, modes, before, grads)
    capture = Capture(
        id=id, model=model_id, purpose=purpose, training=mode, rows=rows, sample=row, epoch=epoch,
        step=step, inputs=described, outputs=outputs, receipt=receipt, complete=error is None,
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    return Outcome([*tracer.ops, capture], output, tracer.failed, error, random)


def play(call: Call, modes: Modes = None) -> Any:
    """Play a forward again without the tracer, and return its output."""
    with call.snapshot.replayed(modes), _unheard():
        args, kwargs = _fresh(call)
        return call.model(*args, **kwargs)


def equal(one: Any, other: Any) -> bool:
    """Tell whether two outputs have the same tensors, bit for bit."""
    first, second = list(trees.leaves(one)), list(trees.leaves(other))
    return len(first) == len(second) and all(
        path == twin_path and identical(tensor, twin)
        for (path, tensor), (twin_path, twin) in zip(first, second, strict=True)
    )


def difference(one: Any, other: Any) -> float | None:
    """Return the largest absolute difference of two outputs; None where shapes differ."""
    largest = 0.0
    pairs = zip(trees.leaves(one), trees.leaves(other), strict=False)
    for (_, tensor), (_, twin) in pairs:
        if tensor.shape != twin.shape or tensor.is_nested:
            return None
        if tensor.numel():
            gap = (tensor.detach().to(torch.float64) - twin.detach().to(torch.float64)).abs().max()
            largest = max(largest, float(gap))
    return largest


def _receipt(
    call: Call, original: Any, output: Any, modes: Modes,
    before: Snapshot, grads: tuple[tuple[int, int], ...],
) -> Receipt:  # fmt: skip
    same = equal(original, output)
    repeats = None if same else equal(original, play(call, modes))
    moved = before.differences(call.model)
    checks = (
        Check(name="RNG streams", ok=before.streams.same(Streams.take()),
              detail="torch, numpy and Python read the same before and after"),
        Check(name="modes", ok=not moved["modes"],
              detail=", ".join(moved["modes"][:3]) or f"{len(before.insides)} modules"),
        Check(name="buffers", ok=not moved["buffers"],
              detail=", ".join(moved["buffers"][:3])
              or f"{sum(1 for _ in call.model.buffers())} buffers"),
        Check(name="gradients", ok=grads == _gradients(call.model),
              detail=f"{len(grads)} parameters"),
    )  # fmt: skip
    return Receipt(
        equal=same, difference=None if same else difference(original, output), repeats=repeats,
        elements=sum(tensor.numel() for _, tensor in trees.leaves(output)), checks=checks,
    )  # fmt: skip


def _gradients(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """Identify every gradient and its version: neither may move."""
    grads = (parameter.grad for parameter in model.parameters())
    return tuple((0, 0) if g is None else (id(g), g._version) for g in grads)


def _fresh(call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Clone the inputs once more: a forward may write into them."""
    return trees.rebuild(call.args, torch.clone), trees.rebuild(call.kwargs, torch.clone)


def _name_inputs(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, torch.Tensor]]:  # fmt: skip
    named = [
        (f"input{path}" if len(args) == 1 else f"input {index + 1}{path}", tensor)
        for index, value in enumerate(args)
        for path, tensor in trees.leaves(value)
    ]
    return named + [
        (f"{key}{path}", tensor)
        for key, value in kwargs.items()
        for path, tensor in trees.leaves(value)
    ]


def eagerly() -> contextlib.AbstractContextManager[object]:
    """Run compiled modules uncompiled: what we play again must add no graph to the user's."""
    # Setting a stance imports the compiler, which takes a second: only where somebody uses it.
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's own module behind torch.compile and data-parallel wrappers.

    A wrapper would compile another graph, or wait for the other processes.
    """
    parallel = nn.parallel.DistributedDataParallel, nn.DataParallel
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif compiler is not None and isinstance(model, compiler.OptimizedModule):
            model = model._orig_mod
        else:
            return model


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Run without gradients, prints and warnings: what is played again was said the first time."""
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        eagerly(),
    ):
        warnings.simplefilter("ignore")
        yield
