"""Questions for a run of any model: shapes, parameters, modes, losses, gradients."""

from pipetrace.lessons.anymodel import (
    beliefs,
    costs,
    losses,
    mending,
    modes,
    practice_gradients,
    practice_tensors,
    predicting,
    predictions,
    scores,
    shapes,
    stages,
    steps,
    weights,
    wholes,
)

__all__ = [
    "beliefs",
    "costs",
    "losses",
    "mending",
    "modes",
    "practice_gradients",
    "practice_tensors",
    "predicting",
    "predictions",
    "scores",
    "shapes",
    "stages",
    "steps",
    "weights",
    "wholes",
]
