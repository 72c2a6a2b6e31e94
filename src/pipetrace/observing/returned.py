"""What a model returned is known again where a loss function or a backward meets it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from pipetrace.capture import storages, trees
from pipetrace.observing.witness import Made, Turn, Witness
from pipetrace.training.captures import Root

Node = torch.autograd.graph.Node

_KEY = "pipetrace"
_TENSORS = 8
"""So many tensors of an output are marked."""
_LATEST = 8
"""So many calls without a graph are remembered."""
_MADE = 3
"""So many makers of a tensor are told."""
_NEAR = 24
"""So many nodes of a graph are walked in search of a mark."""
_VIEWS = frozenset({
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "T", "Transpose",
    "Permute", "Select", "Slice", "Alias", "AsStrided", "Split", "Unbind", "Clone", "ToCopy",
    "Index", "IndexSelect", "Expand",
})  # fmt: skip
"""Autograd's names of what moves numbers and computes none."""


class Mark:
    """A call of a root whose output may be met again.

    Attributes:
        root: The root.
        turn: What stays of the call.
        losses: Loss functions that have met it so far.
    """

    __slots__ = ("__weakref__", "losses", "root", "turn")

    def __init__(self, root: Root, turn: Turn) -> None:
        self.root, self.turn, self.losses = root, turn, 0


class Met(NamedTuple):
    """A tensor that comes from a model's output.

    Attributes:
        mark: The call.
        direct: Whether it is what the model returned, views apart.
    """

    mark: Mark
    direct: bool


class _Lying(NamedTuple):
    """Where the numbers of an output lie that has no graph."""

    owner: weakref.ref[torch.Tensor]
    where: int
    mark: Mark


class Returned(Witness):
    """Marks what every root returns; other witnesses ask it."""

    def __init__(self) -> None:
        self._latest: deque[_Lying] = deque(maxlen=_LATEST)

    def called(self, made: Made, output: Any) -> None:
        """Mark the graph's nodes, or remember where the numbers lie."""
        mark = Mark(made.root, made.turn)
        for tensor in trees.tensors([output])[:_TENSORS]:
            if tensor.grad_fn is not None:
                _notes(tensor.grad_fn)[_KEY] = mark
            if tensor.layout is torch.strided:
                self._latest.append(_Lying(weakref.ref(tensor), storages.place(tensor), mark))

    def find(self, tensor: torch.Tensor) -> Met | None:
        """Return which call a tensor comes from; None where that is not known."""
        if tensor.grad_fn is not None:
            return nearest(tensor.grad_fn)
        for lying in reversed(self._latest):
            owner = lying.owner()
            if owner is not None and (owner is tensor or tensor._base is owner):
                return Met(lying.mark, direct=True)
        for lying in reversed(self._latest):
            if tensor.layout is torch.strided and storages.place(tensor) == lying.where:
                return Met(lying.mark, direct=True)
        return Met(self._latest[-1].mark, direct=False) if self._latest else None


def marked(node: Node) -> Mark | None:
    """Return the call whose output a node of a graph computed."""
    mark: Mark | None = _notes(node).get(_KEY)
    return mark


def _notes(node: Node) -> dict[str, Any]:
    notes: Any = node.metadata
    return notes  # type: ignore[no-any-return]  # PyTorch's stub takes the property for a method


def named(node: Node) -> str:
    """Return what a node does, as autograd calls it: `LogSoftmax`."""
    return node.name().partition("Backward")[0]


def before(node: Node) -> Iterator[Node]:
    """Yield the nodes whose outputs a node took."""
    yield from (each for each, _ in node.next_functions if each is not None)


def made_by(node: Node | None) -> tuple[str, ...]:
    """Return what a node and those before it do, as far as each took one thing; no views."""
    made: list[str] = []
    while node is not None and len(made) < _MADE:
        if named(node) not in _VIEWS:
            made.append(named(node))
        following = list(before(node))
        node = following[0] if len(following) == 1 else None
    return tuple(made)


def nearest(start: Node) -> Met | None:
    """Return the call whose output is met first from a node on, against the graph."""
    waiting, seen = deque([(start, True)]), {start}
    while waiting and len(seen) < _NEAR:
        node, direct = waiting.popleft()
        mark = marked(node)
        if mark is not None:
            return Met(mark, direct)
        for each in before(node):
            if each not in seen:
                seen.add(each)
                waiting.append((each, direct and named(node) in _VIEWS))
    return None
