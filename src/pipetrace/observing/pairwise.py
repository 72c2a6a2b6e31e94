"""A loss computed by hand is read from its graph: told is where each prediction met each target."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import torch

from pipetrace.observing.returned import Mark, Node, before, marked, named

BROADCASTING = frozenset({
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "kl_div",
    "soft_margin_loss", "hinge_embedding_loss",
})  # fmt: skip
"""Loss functions of PyTorch that broadcast their input and target against each other."""
_NODES = 48
"""So many nodes of a loss's graph are looked at."""
_MEETING = frozenset({"Sub", "Rsub", "Add"})
_EACH = frozenset({
    "Pow", "Abs", "Mul", "Div", "Neg", "Log", "Log1P", "Exp", "Cosh", "Tanh", "Sqrt", "Sigmoid",
    "Softplus", "Relu", "Clamp", "ClampMin", "Where", "Maximum", "Minimum", "Add", "Sub", "ToCopy",
    "View", "Reshape",
})  # fmt: skip
"""What computes each element alone."""


class Found(NamedTuple):
    """A prediction that met a constant, and the shape that both had then."""

    mark: Mark
    prediction: tuple[int, ...]
    combined: tuple[int, ...]


def found(loss: torch.Tensor) -> Found | None:
    """Find a model's output of N numbers that met N targets as N x N pairs.

    Only where the pairs then go one by one, with nothing that tells one pair from another, into
    a full sum or mean: losses over pairs that are meant weigh, mask or compare them.

    Args:
        loss: Where the backward begins.
    """
    if loss.grad_fn is None or loss.numel() != 1:
        return None
    users: dict[Node, list[Node]] = defaultdict(list)
    waiting, seen = [loss.grad_fn], {loss.grad_fn}
    ends: list[Node] = []
    while waiting and len(seen) < _NODES:
        node = waiting.pop()
        if marked(node) is not None and node is not loss.grad_fn:
            ends.append(node)
            continue
        for each in before(node):
            users[each].append(node)
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    for end in ends:
        mark, meetings = marked(end), users[end]
        if mark is not None and len(meetings) == 1 and _paired(end, meetings[0], users):
            return Found(mark, _shape(end), _shape(meetings[0]))
    return None


def _paired(end: Node, meeting: Node, users: dict[Node, list[Node]]) -> bool:
    given, made = _shape(end), _shape(meeting)
    numbers = torch.Size(given).numel()
    alone = len(list(before(meeting))) == 1
    square = len(made) == 2 and made == (numbers, numbers) and numbers > 1
    if not (square and alone and named(meeting) in _MEETING):
        return False
    return (
        given in ((numbers, 1), (numbers,))
        and _each(meeting, users)
        and not _itself(users[meeting])
    )


def _each(meeting: Node, users: dict[Node, list[Node]]) -> bool:
    """Tell whether all that comes after is element by element, up to a sum over everything."""
    waiting, reduced = list(users[meeting]), False
    while waiting:
        node = waiting.pop()
        summed = named(node) in ("Mean", "Sum")
        if summed and _shape(node) == ():
            reduced = True
            continue
        if not (summed or named(node) in _EACH) or _weighed(node, _shape(meeting)):
            return False
        waiting += users[node]
    return reduced


def _weighed(node: Node, pairs: tuple[int, ...]) -> bool:
    """Tell whether every pair gets a factor of its own that is no part of the graph."""
    kept = [getattr(node, name, None) for name in ("_saved_other", "_saved_self")]
    tensors = [tensor for tensor in kept if isinstance(tensor, torch.Tensor)]
    single = len(list(before(node))) == 1 and named(node) in ("Mul", "Div")
    return single and any(tuple(tensor.shape) == pairs for tensor in tensors)


def _itself(nodes: list[Node]) -> bool:
    """Tell whether the predictions met themselves: the differences then turn their sign."""
    for node in nodes:
        difference = getattr(node, "_saved_self", None)
        if isinstance(difference, torch.Tensor) and difference.dim() == 2:
            return bool(torch.allclose(difference, -difference.t()))
    return False


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(node._input_metadata[0].shape)
