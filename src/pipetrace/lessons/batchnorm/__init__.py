"""The second lesson: what `nn.BatchNorm1d` does with a batch, without one, and why."""

from pipetrace.lessons.batchnorm import (
    beliefs,
    challenges,
    facts,
    holding,
    moving,
    numbers,
    practice,
    repairs,
    sizes,
    statistics,
)

__all__ = [
    "beliefs",
    "challenges",
    "facts",
    "holding",
    "moving",
    "numbers",
    "practice",
    "repairs",
    "sizes",
    "statistics",
]
