"""Each tracer is used here as its own documentation uses it, on a model and one tensor."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Call = Callable[[], object]
"""Runs the forward once, traced, and returns what the tracer made of it."""


@dataclass(frozen=True)
class Tracer:
    """A way to trace a forward.

    Attributes:
        package: What has to be installed.
        prepare: Imports the tracer and wraps the model where the tracer wants that, once a model.
        around: Holds while the tracer is in use; what it leaves behind is put back at the end.
    """

    package: str
    prepare: Callable[[nn.Module, torch.Tensor], Call]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def installed(self) -> bool:
        """Whether its package can be found."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def records(self) -> str:
        """What it records, in a sentence."""
        return str(self.prepare.__doc__).partition("\n\n")[0].replace("\n    ", " ")


def plain(model: nn.Module, x: torch.Tensor) -> Call:
    """Nothing: the forward as the user would call it."""
    return lambda: model(x)


def traced(model: nn.Module, x: torch.Tensor) -> Call:
    """Ops with arguments, links, lines and modules; values sampled, exact where that is cheap."""
    import pipetrace as pt

    def call() -> object:
        with pt.options(receipt=False):
            return pt.trace(model, x)

    return call


def receipted(model: nn.Module, x: torch.Tensor) -> Call:
    """The same, after a plain call of the model with which the traced one is compared."""
    import pipetrace as pt

    return lambda: pt.trace(model, x)


def read(model: nn.Module, x: torch.Tensor) -> Call:
    """The traced forward, and every op of it read once."""
    import pipetrace as pt

    def call() -> object:
        with pt.options(receipt=False):
            run = pt.trace(model, x)
        return run, list(run.ops)

    return call


def torchlens(model: nn.Module, x: torch.Tensor) -> Call:
    """Ops with links, modules and lines; the values of every op's output, whole."""
    import torchlens as peer

    return lambda: peer.trace(model, x)


@contextmanager
def wrapped() -> Iterator[None]:
    """Have torchlens wrap torch's functions, and take the wrappers off again.

    By default they stay on, so that every later forward of the process goes through them: the
    others' forwards would be slowed too. Neither is timed with the forward.
    """
    from torchlens.backends.torch import wrappers

    wrappers.wrap_torch()
    try:
        yield
    finally:
        wrappers.unwrap_torch()


def torchinfo(model: nn.Module, x: torch.Tensor) -> Call:
    """Modules only, with shapes, parameters and multiply-adds; no ops and no values."""
    import torchinfo as peer

    mode = "train" if model.training else "eval"
    return lambda: peer.summary(model, input_data=[x], mode=mode, verbose=0)


def torchview(model: nn.Module, x: torch.Tensor) -> Call:
    """Modules and ops as a graph with shapes, not rendered; no values."""
    import torchview as peer

    mode = "train" if model.training else "eval"
    return lambda: peer.draw_graph(model, input_data=[x], mode=mode, device="cpu")


def nnsight(model: nn.Module, x: torch.Tensor) -> Call:
    """Modules only, with the values of every module's output, whole; no ops."""
    import nnsight as peer

    watched = peer.NNsight(model)

    def call() -> object:
        with watched.trace(x) as tracer:
            cache = tracer.cache()
        return cache  # noqa: RET504 - nnsight runs the block elsewhere: it cannot return

    return call


TRACERS = {
    "plain": Tracer("torch", plain),
    "pipetrace": Tracer("pipetrace", traced),
    "pipetrace, ops read": Tracer("pipetrace", read),
    "pipetrace with receipt": Tracer("pipetrace", receipted),
    "torchlens": Tracer("torchlens", torchlens, wrapped),
    "torchinfo": Tracer("torchinfo", torchinfo),
    "torchview": Tracer("torchview", torchview),
    "nnsight": Tracer("nnsight", nnsight),
    "again": Tracer("torch", plain),
}
"""All of them, with the plain forward twice: once over once is the noise of a ratio."""
