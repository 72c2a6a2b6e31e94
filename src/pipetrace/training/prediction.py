"""One row through the trained model in eval mode, op by op, twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pipetrace.capture import comparing, replay, trees
from pipetrace.records import Capture, Fact, Notice, Prediction
from pipetrace.summarise import values
from pipetrace.training import drawing, scores
from pipetrace.training.tallies import Seen

if TYPE_CHECKING:
    from pipetrace.training.recorder import Recorder
    from pipetrace.training.strands import Strand

_SCORES = 64

_OTHER = 1234
"""A seed for random numbers that are others than the script's."""


class Chosen:
    """The row that the prediction is about, copied when it was evaluated."""

    def __init__(self, seen: Seen, row: int, sample: int, args: Any, kwargs: Any) -> None:
        self.seen = seen
        self.sample = sample
        self.heldout: bool | None = None
        self.target: torch.Tensor | None = None
        self._row = row

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            whole = tensor.dim() == 0 or tensor.shape[0] != seen.rows
            return (tensor if whole else tensor[row : row + 1]).detach().clone()

        with torch.inference_mode(False), torch.no_grad():
            self.args = trees.rebuild(args, cut)
            self.kwargs = trees.rebuild(kwargs, cut)

    def take_target(self, target: torch.Tensor) -> None:
        """Keep the row's truth."""
        if target.dim() and target.shape[0] == self.seen.rows:
            self.target = target[self._row : self._row + 1].detach().clone()


def first_row(strand: Strand | None) -> Chosen | None:
    """Return the first row of the probe, which was trained on, where nothing was evaluated."""
    fixed = None if strand is None else strand.fixed
    if strand is None or fixed is None:
        return None
    seen = Seen(strand.model_id, False, int(fixed.target.shape[0]), 0, None)
    chosen = Chosen(seen, 0, 0, fixed.args, fixed.kwargs)
    chosen.take_target(fixed.target)
    chosen.heldout = False
    return chosen


def predict(recorder: Recorder, chosen: Chosen, strand: Strand | None) -> list[Fact]:
    """State the prediction for the chosen row, or why there is none."""
    root = chosen.seen.model
    model = recorder.model(root)
    if model is None:
        return [_missing("the model was gone when the program ended")]
    try:
        with torch.no_grad():
            call = replay.prepare(model, chosen.args, chosen.kwargs)
        first = replay.play(call, False)
        # What is random in eval mode must show: other numbers for the second pass.
        second = replay.play(call, False, seed=_OTHER)
        outcome = replay.replay(
            call, id=recorder.next_capture(), model_id=root, purpose="prediction", original=first,
            modes=False, values=recorder.values,
            epoch=recorder.course.epochs, step=recorder.course.steps,
        )  # fmt: skip
        if outcome.raised is not None:
            return [_missing(outcome.raised.words())]
        told = [*outcome.facts, _prediction(chosen, strand, call, first, second, outcome)]
        return [*told, *drawing.looked_at(recorder, call, strand, outcome.facts)]
    except Exception as error:
        return [_missing(f"{type(error).__name__}: {error}")]


def _prediction(
    chosen: Chosen, strand: Strand | None, call: replay.Call, first: Any, second: Any,
    outcome: replay.Outcome,
) -> Prediction:  # fmt: skip
    capture = next(fact.id for fact in outcome.facts if isinstance(fact, Capture))
    task, numbers, shares = _read(strand, first)
    truth = chosen.target
    known = truth is not None and truth.numel() == 1
    predicted = None
    if task == "classes" and shares:
        predicted = max(range(len(shares)), key=shares.__getitem__)
    elif task == "binary" and len(shares) == 1:
        predicted = int(shares[0] > 0.5)
    return Prediction(
        capture=capture, sample=chosen.sample, task=task, heldout=chosen.heldout,
        scores=numbers, probabilities=shares, predicted=predicted,
        truth=float(truth.item()) if truth is not None and known else None,
        passes_equal=comparing.equal(first, second),
        train_difference=_train_difference(call, first),
    )  # fmt: skip


def _train_difference(call: replay.Call, output: Any) -> float | None:
    """Compare with a pass in train mode; batch normalisation refuses a single row."""
    try:
        return comparing.difference(output, replay.play(call, True))
    except (ValueError, RuntimeError):
        return None


def _read(strand: Strand | None, output: Any) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Return the task, the model's numbers for the row, and probabilities where they mean that."""
    tensor = trees.first(output)
    raw = () if tensor is None or tensor.numel() > _SCORES else values(tensor, _SCORES)
    if strand is None or strand.call is None or strand.pairing is None:
        return "", raw, ()
    name, given = strand.call.name, strand.pairing.of(output)
    task = scores.task(name)
    if given.numel() > _SCORES or (task == "classes" and given.dim() != 2):
        return task, raw, ()
    if task == "classes":
        return task, values(given, _SCORES), values(given.softmax(-1), _SCORES)
    if task == "binary":
        chances = given if name == "binary_cross_entropy" else given.sigmoid()
        return task, values(given, _SCORES), values(chances, _SCORES)
    return task, values(given, _SCORES), ()


def _missing(reason: str) -> Notice:
    return Notice(id="prediction", text=f"No prediction was traced: {reason[:300]}.")
