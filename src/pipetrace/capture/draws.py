"""The state of a random generator before an op is kept: from it the draw can be had again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch


class Form(NamedTuple):
    """A tensor without its elements."""

    # A tensor on the meta device would import what infers shapes: a third of a second.
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def filled(self, value: float, device: torch.device) -> torch.Tensor:
        """Return a tensor of this form whose elements are all one number."""
        empty = torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device=device)
        return empty.fill_(value)


class Draw(NamedTuple):
    """What an op that drew random numbers started from."""

    generator: torch.Generator
    state: torch.Tensor
    forms: tuple[Form, ...]
    """Of its tensor arguments; empty ones of those that are nested, sparse or mapped over."""
    keywords: tuple[str, ...] = ()
    """What the last of them were called, those that were given by keyword."""


class Begun(NamedTuple):
    """The generators that an op may draw from, and their states before it."""

    generators: list[torch.Generator]
    states: list[torch.Tensor]
    given: Sequence[torch.Tensor]
    kwargs: dict[str, Any]


def begin(given: Sequence[torch.Tensor], kwargs: dict[str, Any]) -> Begun:
    """Read the generators that an op may draw from.

    Args:
        given: Its tensor arguments.
        kwargs: Its keyword arguments: `generator` and `device` decide what it draws from.
    """
    chosen, wanted = kwargs.get("generator"), kwargs.get("device")
    # Functions that are not PyTorch's may mean anything by these names.
    generators = [chosen if isinstance(chosen, torch.Generator) else torch.default_generator]
    if generators[0] is not chosen:
        devices = {tensor.device for tensor in given if tensor.device.type == "cuda"}
        if wanted is None and not given:
            wanted = torch.get_default_device()
        with contextlib.suppress(RuntimeError, TypeError):
            if wanted is not None and torch.device(wanted).type == "cuda":
                devices.add(torch.device(wanted))
        for device in sorted(devices, key=str):
            index = torch.cuda.current_device() if device.index is None else device.index
            generators.append(torch.cuda.default_generators[index])
    return Begun(generators, [generator.get_state() for generator in generators], given,
                 kwargs)  # fmt: skip


def end(begun: Begun) -> Draw | None:
    """Return what was drawn from, None where nothing was drawn."""
    for generator, state in zip(begun.generators, begun.states, strict=True):
        if not torch.equal(generator.get_state(), state):
            named = [key for key, v in begun.kwargs.items() if isinstance(v, torch.Tensor)]
            return Draw(generator, state, tuple(map(form, begun.given)), tuple(named))
    return None


@contextlib.contextmanager
def drawing(draw: Draw | None) -> Iterator[None]:
    """Make a draw again: its generator starts where it did, and comes back after."""
    if draw is None:
        yield
        return
    after = draw.generator.get_state()
    draw.generator.set_state(draw.state)
    try:
        yield
    finally:
        draw.generator.set_state(after)


def form(tensor: torch.Tensor) -> Form:
    """Return the form of a tensor as a copy of it would have, `torch.empty_like` say."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    if tensor.layout is torch.strided and not (tensor.is_nested or wrapped):
        if not tensor.is_contiguous():
            tensor = torch.empty_like(tensor.detach())
        return Form(tuple(tensor.shape), tensor.stride(), tensor.dtype)
    return Form((0,), (1,), tensor.dtype)
