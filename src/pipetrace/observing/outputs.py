"""What a loop does with an output until backward is read off autograd's graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pipetrace.capture import trees
from pipetrace.observed import Used
from pipetrace.observing.witness import Made, Witness
from pipetrace.records import Fact

_KEY = "pipetrace output"
_OUTPUTS = 8
_NODES = 300
"""A loss further away from the output than so many nodes is not followed."""
_TRIES = 4
"""So many calls of a kind are waited for: many outputs never reach a loss."""


class Outputs(Witness):
    """The witness of outputs: of each kind of calls the first that is trained on is followed."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], Used] = {}
        self._tries: Counter[int] = Counter()
        self._waiting = False

    def called(self, made: Made, output: Any) -> None:
        """Mark the nodes of an output: they are looked for from the loss."""
        kind = made.turn.kind
        if not made.graph or self._tries[kind] >= _TRIES:
            return
        self._tries[kind] += 1
        for path, tensor in list(trees.leaves(output))[:_OUTPUTS]:
            if tensor.grad_fn is not None:
                node: Any = tensor.grad_fn
                node.metadata[_KEY] = kind, path
                self._waiting = True

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Follow the graph from a loss to the outputs that it was computed from."""
        if not self._waiting:
            return
        self._waiting = False
        for root in roots:
            if root.grad_fn is not None:
                for used in _followed(root.grad_fn):
                    self._tries[used.calls] = _TRIES
                    self._found.setdefault((used.calls, used.output), used)

    def facts(self) -> Iterator[Fact]:
        """State what was done with each output."""
        return iter(self._found.values())


def _followed(loss: Any) -> Iterator[Used]:
    """Walk from a loss to the marked nodes; what lies on the way to one is its way."""
    order: list[Any] = [loss]
    above: dict[Any, list[Any]] = {loss: []}
    marked: list[tuple[Any, tuple[int, str]]] = []
    for node in order:
        mark = node.metadata.get(_KEY)
        if mark is not None:
            marked.append((node, mark))
            continue
        for child, _ in node.next_functions:
            if child is None or (child not in above and len(order) >= _NODES):
                continue
            if child not in above:
                above[child] = []
                order.append(child)
            above[child].append(node)
    for node, (kind, path) in marked:
        way: dict[Any, None] = dict.fromkeys(above[node])
        waiting = list(way)
        while waiting:
            fresh = [each for each in above[waiting.pop()] if each not in way]
            way.update(dict.fromkeys(fresh))
            waiting += fresh
        learned = any(
            hasattr(child, "variable") for each in way for child, _ in each.next_functions
        )
        names = [each.name() for each in order if each in way]
        yield Used(calls=kind, output=path, functions=tuple(names), learned=learned)
