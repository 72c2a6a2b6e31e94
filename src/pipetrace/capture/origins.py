"""Which op, input, parameter or buffer made the value that a tensor has at this moment."""

from __future__ import annotations

import sys
import weakref
from typing import NamedTuple

import torch
from torch import nn

from pipetrace.capture import constants, storages
from pipetrace.parts import Link


class Write(NamedTuple):
    """An op that wrote into a storage."""

    version: int
    """What the storage's tensors count as their version since."""
    region: storages.Region | None
    link: Link


class Origins:
    """Keeps for each tensor the link to its origin, outside of the tensor.

    Nothing here asks for torch functions to be off: who calls does.

    Args:
        model: The root module: where constants are looked for.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._links: dict[int, tuple[weakref.ref[torch.Tensor], Link, int]] = {}
        self._writes: dict[int, list[Write]] = {}
        self._data: dict[int, tuple[weakref.ref[torch.Tensor], weakref.ref[torch.Tensor]]] = {}
        self._constants: constants.Constants | None = None

    def stamp(self, tensor: torch.Tensor, link: Link) -> None:
        """Tell where a tensor's value comes from."""
        self._links[id(tensor)] = (weakref.ref(tensor), link, self.version(tensor))
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            self.stamp(torch._C._functorch.get_unwrapped(tensor), link)

    def known(self, tensor: torch.Tensor) -> Link | None:
        """Return what a tensor was last linked to; None for one that has no link."""
        known = self._links.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else None

    def link(self, tensor: torch.Tensor, version: int) -> Link:
        """Return where a tensor's value comes from.

        Args:
            tensor: Any tensor.
            version: What `version` says of it.
        """
        known = self._links.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1] if known[2] == version else self._relink(tensor, known[1], known[2])
        # What a transform such as vmap works on is wrapped, and what it gives back is a view.
        inner = _inside(tensor)
        if inner is not None and (link := self.known(inner)) is not None:
            return link
        if self._constants is None:
            self._constants = constants.Constants(self._model)
        link = self._constants.link(tensor, sys._getframe(1))
        if link.source == "constant":
            self.stamp(tensor, link)
        return link

    def pass_on(self, tensor: torch.Tensor, output: torch.Tensor, *, apart: bool) -> None:
        """Link another tensor of the same elements to what made them.

        Args:
            tensor: The one that was asked.
            output: The other one.
            apart: Whether a write to the other is no new version of the first, as with `data`.
        """
        link = self.link(tensor, self.version(tensor))
        if link.source != "unseen":
            self.stamp(output, link)
        if apart:
            self._data[id(output)] = (weakref.ref(output), weakref.ref(tensor))

    def version(self, tensor: torch.Tensor) -> int:
        """Return what changes with every write; tensors of inference mode do not count theirs."""
        try:
            return tensor._version
        except RuntimeError:
            # Asking first would cost as much as this, for every tensor.
            return len(self._writes.get(storages.place(tensor), ())) if self._writes else 0

    def wrote(self, tensor: torch.Tensor, link: Link) -> None:
        """Tell that an op has written into a tensor: what shares its elements has changed too."""
        writes = self._writes.setdefault(storages.place(tensor), [])
        version = len(writes) + 1 if tensor.is_inference() else tensor._version
        writes.append(Write(version, storages.region(tensor), link))
        if self._data:
            whole = tensor if tensor.is_inference() or tensor._base is None else tensor._base
            known = self._data.get(id(whole))
            owner = None if known is None or known[0]() is not whole else known[1]()
            if owner is not None:
                self.stamp(owner, link)

    def fresh(self, tensor: torch.Tensor) -> None:
        """Tell that a storage is new: what was written at its place before is of another."""
        if self._writes:
            self._writes.pop(storages.place(tensor), None)

    def _relink(self, tensor: torch.Tensor, link: Link, since: int) -> Link:
        """Link a tensor that was written to, through whichever view, to the last that did so."""
        region = storages.region(tensor)
        for write in reversed(self._writes.get(storages.place(tensor), ())):
            if write.version <= since:
                break
            if storages.meet(write.region, region):
                link = write.link
                break
        self.stamp(tensor, link)
        return link


def _inside(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return what a tensor is a wrapper or a view of."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        inner = torch._C._functorch.get_unwrapped(tensor)
        return _inside(inner) if torch._C._functorch.is_functorch_wrapped_tensor(inner) else inner
    return None if tensor.is_inference() else tensor._base
