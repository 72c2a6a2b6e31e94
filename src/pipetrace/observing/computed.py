"""A loss function that nobody heard, for it was taken before, is known by its node in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from pipetrace.observing.returned import Node, before, made_by, marked, named

_FUNCTIONS = {
    "NllLoss": "nll_loss", "NllLoss2D": "nll_loss", "MseLoss": "mse_loss",
    "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss",
    "BinaryCrossEntropy": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogits": "binary_cross_entropy_with_logits",
}  # fmt: skip
_REDUCTIONS = ("none", "mean", "sum")
_NODES = 48


class Computed(NamedTuple):
    """A loss function in a graph.

    Attributes:
        name: Its name in `torch.nn.functional`.
        prediction: What it was given, after a broadcast.
        target: What it was compared with, after a broadcast.
        shapes: Of both, before it.
        made: What made the prediction, the last first.
        node: The node of the graph that did.
        kwargs: What else it was told.
    """

    name: str
    prediction: torch.Tensor
    target: torch.Tensor
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    made: tuple[str, ...]
    node: Node | None
    kwargs: dict[str, Any]


def computed(loss: torch.Tensor) -> Iterator[Computed]:
    """Yield the loss functions that a backward begins with, above any output of a model."""
    waiting = [loss.grad_fn] if loss.grad_fn is not None else []
    seen = set(waiting)
    while waiting and len(seen) < _NODES:
        node = waiting.pop()
        if named(node) in _FUNCTIONS:
            yield _told(node)
        elif marked(node) is None:
            fresh = [each for each in before(node) if each not in seen]
            seen.update(fresh)
            waiting += fresh


def _told(node: Any) -> Computed:
    name, prediction, target = _FUNCTIONS[named(node)], node._saved_self, node._saved_target
    source = prediction.grad_fn
    if name == "nll_loss" and source is not None and named(source) == "LogSoftmax":
        name, source = "cross_entropy", next(before(source), None)
    kwargs: dict[str, Any] = {"reduction": _REDUCTIONS[node._saved_reduction]}
    if name in ("nll_loss", "cross_entropy"):
        kwargs |= {"ignore_index": _signed(node._saved_ignore_index), "weight": node._saved_weight}
    return Computed(name, prediction, target, (_own(prediction), _own(target)),
                    made_by(source), source, kwargs)  # fmt: skip


def _own(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor before it was expanded: what it repeats takes no memory."""
    steps = list(zip(tensor.shape, tensor.stride(), strict=True))
    while len(steps) > 1 and steps[0][1] == 0 and steps[0][0] > 1:
        steps.pop(0)
    return tuple(1 if step == 0 and size > 1 else size for size, step in steps)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
