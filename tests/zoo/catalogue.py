"""The names of all architectures, and the architecture behind a name."""

from __future__ import annotations

from zoo import architectures, attention, handmade, oddities
from zoo.architectures import Architecture, NotBuilt

WRITTEN = (handmade, attention, oddities)
"""The modules that register architectures when they are imported."""
HANDMADE = handmade.ALL


def names() -> list[str]:
    """Return every name: those written by hand, then the model types of transformers."""
    return [*HANDMADE, *architectures.names()]


def find(name: str) -> Architecture:
    """Return an architecture.

    Raises:
        NotBuilt: there is none of that name, or it cannot be made tiny.
    """
    if name in HANDMADE:
        return HANDMADE[name]
    if name not in architectures.names():
        raise NotBuilt("there is no architecture of that name")
    return architectures.find(name)
