"""The first lesson: what `nn.Dropout` does in training, in evaluation, and why."""

from pipetrace.lessons.dropout import (
    beliefs,
    chances,
    channels,
    elements,
    layers,
    masks,
    modes,
    noise,
    passes,
    places,
    practice,
    scaling,
    switches,
)

__all__ = [
    "beliefs",
    "chances",
    "channels",
    "elements",
    "layers",
    "masks",
    "modes",
    "noise",
    "passes",
    "places",
    "practice",
    "scaling",
    "switches",
]
