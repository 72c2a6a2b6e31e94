"""The first lesson: what `nn.Dropout` does in training, in evaluation, and why."""

from pipetrace.lessons.dropout import beliefs, facts, masks, modes, practice, scaling

__all__ = ["beliefs", "facts", "masks", "modes", "practice", "scaling"]
