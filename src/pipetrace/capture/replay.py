"""A forward is played again under the tracer, compared bit for bit, and everything is put back."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipetrace.capture import trees
from pipetrace.capture.compare import difference as difference
from pipetrace.capture.compare import equal as equal
from pipetrace.capture.guard import Modes, Snapshot, Streams
from pipetrace.capture.leavings import Left, checks, versions
from pipetrace.capture.tracer import Failed, Tracer
from pipetrace.errors import ReplayError
from pipetrace.records import Capture, Fact, Receipt, Tensor


class Call(NamedTuple):
    """One call of a root module: from this it can be played again."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    snapshot: Snapshot
    versions: dict[int, int]
    grad: bool
    """Whether gradients were enabled."""


class Played(NamedTuple):
    """What one traced replay gave, faithful or not."""

    tracer: Tracer
    output: Any
    error: Exception | None
    inputs: tuple[tuple[str, Tensor], ...]
    mode: bool
    random: bool


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
    grad = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.no_grad():
        args, kwargs = trees.rebuild((args, kwargs), _twin)
        return Call(model, args, kwargs, Snapshot(model), versions(model), grad)


def shared() -> bool:
    """Tell whether other processes take part: a forward of ours alone could wait for them."""
    parallel = torch.distributed
    return parallel.is_available() and parallel.is_initialized() and parallel.get_world_size() > 1


def opaque(model: nn.Module) -> str:
    """Say why a module cannot be replayed here; nothing where it can."""
    if shared():
        return "a replay would wait for the other processes"
    if isinstance(model, torch.jit.ScriptModule):
        return "the module is compiled by TorchScript"
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        return "the module is lazy, and has its sizes since this call only"
    return ""


def traceable(model: nn.Module) -> bool:
    """Tell whether a module can be replayed here: whole, plain and initialised."""
    return not opaque(model)


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

    It is played without gradients. Where that is not faithful and they were enabled, it is played
    with them: a forward may ask, or differentiate.

    Args:
        call: The forward, as `prepare` kept it.
        id: The capture's id.
        model_id: The root's id.
        purpose: `training`, `evaluation`, `prediction`, `trace` or `failure`.
        original: What the user's own forward returned; where it raised, the exception.
        compare: Whether the forward returned: then a receipt is written.
        modes: The modes to play it in; None for those it was called in.
        row: Which row of the batch values are kept of.
        values: Whether real values may be kept.
        epoch: Epochs completed before it.
        step: Optimizer steps before it.

    Returns:
        The records (ops, then the capture), the replay's output, and the op that raised, if one.

    Raises:
        ReplayError: the forward has written to its own parameters, so it cannot be played again.
        Exception: the replay raised what the user's forward did not.
    """
    started = time.perf_counter()
    _refuse(call)
    model, rows = call.model, trees.rows((call.args, call.kwargs))
    before, left = Snapshot(model), Left.of(model)

    def played(grad: bool) -> Played:
        tracer = partial(Tracer, model, id, row=row, rows=rows, values=values)
        return _play(call, tracer, modes, grad)

    def faithful(one: Played) -> bool:
        if compare:
            return one.error is None and equal(original, one.output) is not False
        return one.error is not None and type(one.error) is type(original or one.error)

    one = played(False)
    if call.grad and not faithful(one) and faithful(other := played(True)):
        one = other
    if compare and one.error is not None:
        raise one.error
    outputs = one.tracer.described(trees.leaves(one.output))
    receipt = _receipt(call, original, one.output, modes, before, left) if compare else None
    capture = Capture(
        id=id, model=model_id, purpose=purpose, training=one.mode, rows=rows, sample=row,
        epoch=epoch, step=step, inputs=one.inputs, outputs=outputs, receipt=receipt,
        complete=one.error is None, seconds=time.perf_counter() - started,
    )  # fmt: skip
    failed = one.tracer.failed(one.error)
    return Outcome([*one.tracer.ops, capture], one.output, failed, one.error, one.random)


def play(call: Call, modes: Modes = None, *, grad: bool = False) -> Any:
    """Play a forward again without the tracer, and return its output.

    Raises:
        ReplayError: the forward writes to its own parameters.
    """
    with call.snapshot.replayed(modes), _unheard(grad):
        args, kwargs = trees.rebuild((call.args, call.kwargs), _twin)
        output = call.model(*args, **kwargs)
    _refuse(call)
    return output


def _play(call: Call, make: Callable[[], Tracer], modes: Modes, grad: bool) -> Played:
    output, error = None, None
    with call.snapshot.replayed(modes), _unheard(grad):
        args, kwargs = trees.rebuild((call.args, call.kwargs), _twin)
        inputs = _name_inputs(args, kwargs)
        tracer = make()
        tracer.admit(inputs)
        described = tracer.described(inputs)
        mode = bool(call.model.training)
        try:
            with tracer.watching():
                output = call.model(*args, **kwargs)
        except Exception as raised:
            error = raised
        random = not call.snapshot.streams.same(Streams.take())
    return Played(tracer, output, error, described, mode, random)


def _receipt(
    call: Call, original: Any, output: Any, modes: Modes, before: Snapshot, left: Left
) -> Receipt:
    same, apart, repeats = equal(original, output), None, None
    if same is False:
        apart = difference(original, output)
        grads = (False, True) if call.grad else (False,)
        repeats = any(equal(original, play(call, modes, grad=grad)) for grad in grads)
    return Receipt(
        equal=same, difference=apart, repeats=repeats,
        elements=sum(tensor.numel() for _, tensor in trees.leaves(output)),
        checks=checks(call.model, before, left),
    )  # fmt: skip


def _refuse(call: Call) -> None:
    """Raise where parameters have moved since the forward: what ran cannot run again."""
    now = versions(call.model)
    moved = [
        name
        for name, parameter in call.model.named_parameters()
        if call.versions.get(id(parameter), now[id(parameter)]) != now[id(parameter)]
    ]
    if moved:
        raise ReplayError(f"the forward writes to its own parameters ({', '.join(moved[:3])})")


def _twin(tensor: torch.Tensor) -> torch.Tensor:
    """Copy an input: a forward may write into it, or ask whether it wants a gradient."""
    twin = tensor.detach().clone()
    if not tensor.requires_grad:
        return twin
    twin.requires_grad_()
    if tensor.is_leaf:
        return twin
    with torch.enable_grad():
        return twin.clone()


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
def _unheard(grad: bool) -> Iterator[None]:
    """Run without prints, logs and warnings: what is played again was said the first time."""
    logged, shown = logging.root.manager.disable, warnings.showwarning
    # catch_warnings would forget which warnings were shown, and they would be shown once more.
    warnings.showwarning = lambda *_, **__: None
    logging.disable()
    try:
        with (
            torch.set_grad_enabled(grad),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            eagerly(),
        ):
            yield
    finally:
        logging.disable(logged)
        warnings.showwarning = shown
