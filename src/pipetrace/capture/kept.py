"""What is kept of captured forwards: until a run ends, and after, to run them again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture import inputs, trees
from pipetrace.capture.copies import copied
from pipetrace.capture.inputs import Ids
from pipetrace.probed import InputImage, InputTokens
from pipetrace.records import Fact

if TYPE_CHECKING:
    from pipetrace.capture.dropping import Read

_SMALL = 65_536
"""Inputs of so many elements are kept whole; of larger ones the sample's row."""


class Kept(NamedTuple):
    """A captured forward that can be run again with the model as it is then."""

    model: Callable[[], nn.Module | None]
    """None once the program has let the model go: a run alone keeps none alive."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    row: int
    """The sample's row in these inputs."""
    read: Read | None = None
    """Finds probabilities in the model's output."""


def keep(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], row: int = 0,
    *, alive: bool = False, read: Read | None = None,
) -> Kept:  # fmt: skip
    """Copy the inputs of a forward: all of them where they are small, else the sample's row.

    Args:
        model: The user's own module.
        args: Its positional inputs.
        kwargs: Its keyword inputs.
        row: The sample's row.
        alive: Whether the model is kept too.
        read: Finds probabilities in the model's output.
    """
    rows = trees.rows((args, kwargs))
    whole = sum(tensor.numel() for _, tensor in trees.leaves((args, kwargs))) <= _SMALL

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        return trees.part(tensor, rows, row, row + 1).detach().clone()

    with torch._C.DisableTorchFunction(), torch.inference_mode(False), torch.no_grad():
        if whole:
            args, kwargs = copied(args, kwargs)
        else:
            args, kwargs, row = trees.rebuild(args, cut), trees.rebuild(kwargs, cut), 0
    found: Callable[[], nn.Module | None] = (lambda: model) if alive else weakref.ref(model)
    return Kept(found, args, kwargs, row, read)


class AtHand:
    """The captured forwards of one recording.

    Attributes:
        forwards: By the ids of their captures.
        alive: Whether models are kept alive with them.
    """

    def __init__(self) -> None:
        self.forwards: dict[int, Kept] = {}
        self.alive = False
        self._ids: list[tuple[weakref.ref[nn.Module], Ids]] = []

    def take(
        self, model: nn.Module, args: Any, kwargs: Any, facts: list[Fact],
        *, read: Read | None = None, alive: bool = False,
    ) -> list[InputImage]:  # fmt: skip
        """Keep a forward that was captured.

        Args:
            model: The user's own module.
            args: Its positional inputs.
            kwargs: Its keyword inputs.
            facts: What its replay stated.
            read: Finds probabilities in the model's output.
            alive: Whether the model may be kept alive, where models are.

        Returns:
            Its inputs that are images.
        """
        capture = inputs.capture(facts)
        if capture is None:
            return []
        alive = alive and self.alive
        forward = keep(model, args, kwargs, capture.sample, alive=alive, read=read)
        if not alive:
            # A program may make many models: what cannot run again is not kept.
            found = weakref.ref(model, lambda _: self._let_go(capture.id))
            forward = forward._replace(model=found)
        self.forwards[capture.id] = forward
        named = trees.arguments(args, kwargs)
        ids = inputs.ids(named, capture, facts)
        self._ids += [(weakref.ref(model), each) for each in ids]
        return inputs.images(named, capture)

    def _let_go(self, id: int) -> None:
        self.forwards[id] = self.forwards[id]._replace(args=(), kwargs={}, read=None)

    def tokens(self) -> list[InputTokens]:
        """Return the inputs that are token ids, with the texts that are known at the end."""
        from pipetrace.capture.vocabulary import spelled

        waiting, self._ids = self._ids, []
        return [spelled(each, model()) for model, each in waiting]
