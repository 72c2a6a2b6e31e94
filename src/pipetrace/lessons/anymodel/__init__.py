"""Questions for a run of any model: shapes, parameters, modes, losses, gradients."""

from pipetrace.lessons.anymodel import beliefs, modes, stages

__all__ = ["beliefs", "modes", "stages"]
