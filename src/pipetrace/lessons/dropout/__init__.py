"""The first lesson: what `nn.Dropout` does in training, in evaluation, and why."""

from pipetrace.lessons.dropout import beliefs, practice, quiz

__all__ = ["beliefs", "practice", "quiz"]
