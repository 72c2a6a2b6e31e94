"""A backward that draws other random numbers than its forward gives another gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from pipetrace.capture import guard, replay, trees
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact
from pipetrace.tried import Recomputed

_SEEDS = 20_261_200, 20_261_201


def recomputing(subject: Subject) -> Iterable[Fact]:
    """Run the backward of one forward with two states of the random stream.

    Where a checkpoint keeps the state that its forward began with, both gradients are equal.
    """
    if not subject.kind.trained or not subject.outcome.random:
        return
    first = _gradient(subject, _SEEDS[0])
    if first is None or not first[1] or not first[2]:
        return
    second = _gradient(subject, _SEEDS[1])
    if second is None:
        return
    size, gap = float(first[0].norm()), float((first[0] - second[0]).norm())
    if size > 0 and gap == gap:
        yield Recomputed(capture=subject.capture.id, modules=tuple(reversed(first[1])),
                         apart=gap / size)  # fmt: skip


def _gradient(subject: Subject, seed: int) -> tuple[torch.Tensor, list[str], bool] | None:
    """Return a gradient, the outermost modules that backward called, and whether it drew."""
    call = subject.call
    paths: list[str] = []
    names = {id(module): path for path, module in subject.model.named_modules()}
    parameters = [p for p in subject.model.parameters() if p.requires_grad]
    with replay.playing(call), torch.enable_grad(), _own(parameters):
        args, kwargs = trees.rebuild((call.args, call.kwargs), torch.clone)
        output = call.model(*args, **kwargs)
        made = [t for t in trees.tensors([output]) if t.requires_grad and t.is_floating_point()]
        if not made:
            return None
        loss = torch.stack([_spread(tensor) for tensor in made]).sum()
        guard.seed(seed)
        before = guard.Streams.take()
        with _called(paths, names):
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type
        drew = not before.same(guard.Streams.take())
        slopes = [p.grad.reshape(-1).double() for p in parameters if p.grad is not None]
    return (torch.cat(slopes), paths, drew) if slopes else None


def _spread(tensor: torch.Tensor) -> torch.Tensor:
    """Return a number that weighs every element otherwise: sums of a softmax have no gradient."""
    weights = torch.linspace(-1, 1, tensor.numel(), device=tensor.device).cos() + torch.linspace(
        0, 1, tensor.numel(), device=tensor.device
    )
    return (tensor.reshape(-1).float() * weights).sum().cpu()


@contextlib.contextmanager
def _own(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Give parameters gradients of their own, and theirs back."""
    kept = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in zip(parameters, kept, strict=True):
            parameter.grad = gradient


@contextlib.contextmanager
def _called(paths: list[str], names: dict[int, str]) -> Iterator[None]:
    """List the outermost modules that are called inside."""
    stack: list[int] = []

    def enter(module: nn.Module, args: Any) -> None:
        if not stack and id(module) in names:
            paths.append(names[id(module)])
        stack.append(id(module))

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        while stack and stack.pop() != id(module):
            pass

    before = register_module_forward_pre_hook(enter)
    after = register_module_forward_hook(leave, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()
