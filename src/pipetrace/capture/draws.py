"""The state of a random generator before an op is kept: from it the draw can be had again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch


class Draw(NamedTuple):
    """What an op that drew random numbers started from."""

    generator: torch.Generator
    state: torch.Tensor
    forms: tuple[torch.Tensor, ...]
    """Its tensor arguments on the meta device: shape, dtype and strides without elements."""
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
    chosen = kwargs.get("generator")
    generators = [torch.default_generator] if chosen is None else [chosen]
    if chosen is None:
        devices = {tensor.device for tensor in given if tensor.device.type == "cuda"}
        wanted = kwargs.get("device")
        if wanted is None and not given:
            wanted = torch.get_default_device()
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
            return Draw(generator, state, tuple(map(_form, begun.given)), tuple(named))
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


def _form(tensor: torch.Tensor) -> torch.Tensor:
    try:
        return torch.empty_like(tensor.detach(), device="meta")
    except Exception:
        # Not every layout has a meta kernel.
        return torch.empty(0, device="meta")
