"""The second lesson: what `nn.BatchNorm1d` does with a batch, without one, and why."""

from pipetrace.lessons.batchnorm import (
    beliefs,
    challenges,
    facts,
    holding,
    moving,
    practice,
    repairs,
    statistics,
)

__all__ = [
    "beliefs",
    "challenges",
    "facts",
    "holding",
    "moving",
    "practice",
    "repairs",
    "statistics",
]
