"""A forward is played again under the tracer, compared bit for bit, and everything is put back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import torch
from torch import nn

from pipetrace.capture import failures, quiet, roots, telling, trees
from pipetrace.capture.comparing import compared, equal
from pipetrace.capture.contrast import contrast
from pipetrace.capture.copies import copied
from pipetrace.capture.failures import Failed
from pipetrace.capture.guard import Modes, Snapshot, Streams
from pipetrace.capture.guard import seed as reseed
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.hunting import Hunt, suspicious
from pipetrace.capture.tracer import Examine, Tracer
from pipetrace.parts import Check, Receipt, Tensor
from pipetrace.records import Capture, Contrast, Fact

Around = Callable[[], contextlib.AbstractContextManager[object]]


class Call(NamedTuple):
    """One call of a root module: from this it can be played again."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    snapshot: Snapshot
    gradients: tuple[tuple[int, int], ...]
    graph: bool
    """Whether autograd was on."""


class Raised(NamedTuple):
    """What a replay raised; the exception itself would keep all that the forward computed."""

    type: type[Exception]
    message: str

    def words(self) -> str:
        """Say it in one line."""
        first = self.message.splitlines()[:1]
        return ": ".join([self.type.__name__, *first])[:200]


class Outcome(NamedTuple):
    """What a traced replay gave."""

    facts: list[Fact]
    output: Any
    failed: Failed | None
    raised: Raised | None
    random: bool
    """The forward drew from a random stream, whichever."""
    tracer: Tracer


class Played(NamedTuple):
    """A forward that was played under the tracer."""

    tracer: Tracer
    inputs: tuple[tuple[str, Tensor], ...]
    output: Any
    raised: Raised | None
    random: bool
    mode: bool


def prepare(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Keep all that is needed to play a forward again: to be called right before it."""
    with torch.inference_mode(False), torch.no_grad():
        args, kwargs = copied(args, kwargs)
        snapshot = Snapshot(model)
    graph = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    return Call(model, args, kwargs, snapshot, _gradients(model), graph)


class Later:
    """Prepares a forward when a data-parallel wrapper makes it: first it hears from other ranks.

    What is kept is what the module inside the wrapper finds, its buffers and inputs as they came.
    """

    def __init__(self, model: nn.Module) -> None:
        self._call: Call | None = None
        self._hook = model.register_forward_pre_hook(self._keep, prepend=True, with_kwargs=True)

    def take(self) -> Call | None:
        """Return the forward; None where the wrapper did not come so far."""
        self._hook.remove()
        return self._call

    def _keep(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._hook.remove()
        with contextlib.suppress(Exception):
            self._call = prepare(model, args, kwargs)


def ahead(model: nn.Module, args: Any, kwargs: Any) -> Call | Later:
    """Keep what a replay of the call that is about to be made needs, behind any wrapper."""
    plain = roots.unwrapped(model)
    if isinstance(model, nn.parallel.DistributedDataParallel) and model.module is plain:
        return Later(plain)
    return prepare(plain, args, kwargs)


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
    around: Around = contextlib.nullcontext,
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
        around: Makes what the forward runs inside of, at the same place as the tracer.

    Returns:
        The records (ops, what is not finite, then the capture), the replay's output, and the op
        that raised, if one.
    """
    started = time.perf_counter()
    before = (Snapshot(call.model), _gradients(call.model)) if compare else None
    rows = trees.rows((call.args, call.kwargs))
    played = _play_traced(call, modes, around, row=row, rows=rows, values=values)
    tracer = played.tracer
    ops = telling.ops(tracer, id)
    outputs = list(trees.leaves(played.output))
    bad: list[Fact] = []
    if suspicious(ops, (tensor for _, tensor in outputs)):
        hunt = Hunt(id, (tensor for _, tensor in trees.leaves((call.args, call.kwargs))))
        _play_traced(call, modes, around, rows=None, examine=hunt.examine)
        bad += hunt.found()
    receipt = None
    if before is not None and played.raised is None:
        receipt = _receipt(call, original, played.output, modes, *before)
    capture = Capture(
        id=id, model=model_id, purpose=purpose, training=played.mode, rows=rows, sample=row,
        epoch=epoch, step=step, inputs=played.inputs, outputs=tracer.described(outputs),
        returned=tracer.makers(outputs), receipt=receipt, complete=played.raised is None,
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    return Outcome([*ops, *bad, capture], played.output, tracer.failed,
                   played.raised, played.random, tracer)  # fmt: skip


def other_mode(
    call: Call, outcome: Outcome, id: int, training: bool | None = None
) -> list[Contrast]:  # fmt: skip
    """Play a forward in the other mode too, and say which ops differ.

    Args:
        call: The forward.
        outcome: What its replay in its own mode gave.
        id: The capture's id.
        training: The mode that every module is told; None for the one that the root was not in.

    Returns:
        The comparison; nothing where the forward raises in either mode.
    """
    if outcome.raised is not None:
        return []
    if training is None:
        training = not call.snapshot.insides[0].training
    played = _play_traced(call, training, rows=outcome.tracer.rows, values=False)
    if played.raised is not None:
        return []
    return [contrast(outcome.tracer, played.tracer, id, training=training)]


def play(
    call: Call, modes: Modes = None, *, seed: int | None = None,
    around: Around = contextlib.nullcontext,
) -> Any:  # fmt: skip
    """Play a forward again without the tracer, and return its output.

    Args:
        call: The forward.
        modes: The modes to play it in; None for those it was called in.
        seed: Decides other random numbers than those that the forward drew; None for the same.
        around: Makes what the forward runs inside of.
    """
    with playing(call, modes):
        if seed is not None:
            reseed(seed)
        with around():
            return made(call, modes)


def made(call: Call, modes: Modes = None) -> Any:
    """Make a call with fresh copies of its inputs, inside of `playing`."""
    args, kwargs = _fresh(call, modes)
    return call.model(*args, **kwargs)


def examined(call: Call, examine: Examine, modes: Modes = None) -> Outcome:
    """Play a forward again under the tracer and show every op, with its tensors, to `examine`.

    Returns:
        What it gave, without records.
    """
    played = _play_traced(call, modes, rows=None, values=False, examine=examine)
    return Outcome([], played.output, played.tracer.failed, played.raised, played.random,
                   played.tracer)  # fmt: skip


@contextlib.contextmanager
def playing(call: Call, modes: Modes = None) -> Iterator[None]:
    """Be where a forward began, in its modes or others; everything is put back after."""
    with call.snapshot.replayed(modes), quiet.unheard(), _as_called(call), _own_gradients(call):
        yield


def again(call: Call, modes: Modes = None) -> tuple[Any, ...]:
    """Play a forward again plainly: its output alone, or nothing where it raises this time."""
    try:
        return (play(call, modes),)
    except Exception as error:
        pass_on(error)
        return ()


def _play_traced(
    call: Call, modes: Modes, around: Around = contextlib.nullcontext, **settings: Any
) -> Played:  # fmt: skip
    """Play a forward under a tracer, with a graph where the user's own had one.

    Of the graph nothing is kept alive: what would be kept is counted. Where the forward itself
    runs a backward, it is played again with a real one.
    """
    for saved in (call.graph, False):
        with playing(call, modes):
            mode = bool(call.model.training)
            args, kwargs = _fresh(call, modes)
            inputs = trees.arguments(args, kwargs)
            # Inside: the model's buffers are other ones while it is played.
            tracer = Tracer(call.model, **settings)
            tracer.admit(inputs)
            described = tracer.described(inputs)
            output, raised = None, None
            with tracer.watching(saved=saved), around():
                try:
                    output = call.model(*args, **kwargs)
                except Exception as error:
                    pass_on(error)
                    tracer.blame(error)
                    raised = Raised(type(error), failures.message(error))
            random = not call.snapshot.streams.same(Streams.take())
        # A transform of functions refuses to run where anything looks at what is kept.
        if not saved or (raised is None and not tracer.unkept):
            break
    return Played(tracer, described, output, raised, random, mode)


def _receipt(
    call: Call, original: Any, output: Any, modes: Modes,
    before: Snapshot, gradients: tuple[tuple[int, int], ...],
) -> Receipt:  # fmt: skip
    receipt = compared(original, output)
    repeats = unfused = None
    if receipt.equal is False:
        repeats = any(equal(original, plain) for plain in again(call, modes))
        with quiet.unfused():
            unfused = any(equal(output, plain) for plain in again(call, modes))
    moved = before.differences(call.model)
    checks = (
        Check(name="RNG streams", ok=before.streams.same(Streams.take()),
              detail="torch, numpy and Python read the same before and after"),
        Check(name="modes", ok=not moved["modes"],
              detail=", ".join(moved["modes"][:3]) or f"{len(before.insides)} modules"),
        Check(name="buffers", ok=not moved["buffers"],
              detail=", ".join(moved["buffers"][:3])
              or f"{sum(1 for _ in call.model.buffers())} buffers"),
        Check(name="gradients", ok=gradients == _gradients(call.model),
              detail=f"{len(gradients)} parameters"),
    )  # fmt: skip
    return msgspec.structs.replace(receipt, repeats=repeats, unfused=unfused, checks=checks)


@contextlib.contextmanager
def _own_gradients(call: Call) -> Iterator[None]:
    """Let a forward that runs a backward of its own write into other gradients than the user's."""
    if _gradients(call.model) == call.gradients:
        yield
        return
    kept = [(parameter, parameter.grad) for parameter in call.model.parameters()]
    for parameter, gradient in kept:
        parameter.grad = None if gradient is None else gradient.clone()
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def _gradients(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """Identify every gradient and its version: neither may move."""
    grads = (parameter.grad for parameter in model.parameters())
    return tuple((0, 0) if g is None else (id(g), g._version) for g in grads)


def in_mode(kwargs: dict[str, Any], training: bool) -> dict[str, Any]:
    """Return arguments for a mode: Keras says it in each call, `model(x, training=True)`."""
    told = isinstance(kwargs.get("training"), bool)
    return {**kwargs, "training": training} if told else kwargs


def _fresh(call: Call, modes: Modes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Clone the inputs once more: a forward may write into them."""
    args, kwargs = copied(call.args, call.kwargs)
    return args, in_mode(kwargs, modes) if isinstance(modes, bool) else kwargs


def _as_called(call: Call) -> contextlib.AbstractContextManager[object]:
    """Have autograd on or off, as it was; in inference mode it is off in any case."""
    if torch.is_inference_mode_enabled():
        return contextlib.nullcontext()
    return torch.set_grad_enabled(call.graph)
