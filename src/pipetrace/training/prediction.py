"""One row through the trained model in eval mode, op by op, twice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import torch

from pipetrace.capture import comparing, replay, trees
from pipetrace.records import Capture, Fact, Notice, Op, Prediction
from pipetrace.summarise import values
from pipetrace.training import drawing, scores
from pipetrace.training.spread import spread
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
            return trees.part(tensor, seen.rows, row, row + 1).detach().clone()

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


class Traced(NamedTuple):
    """A row that went through the model op by op."""

    facts: list[Fact]
    """The ops and the capture."""
    prediction: Prediction
    call: replay.Call
    output: Any


def trace(
    recorder: Recorder, chosen: Chosen, strand: Strand | None, role: str = "chosen"
) -> Traced | Notice:  # fmt: skip
    """Play the model for a row in eval mode, or say why that cannot be.

    Args:
        recorder: Whose program has ended.
        chosen: The row.
        strand: The training that knows the loss function.
        role: Why this row. Replays of others than the chosen one are not compared once more.
    """
    root = chosen.seen.model
    model = recorder.model(root)
    if model is None:
        return _missing("the model was gone when the program ended")
    try:
        with torch.no_grad():
            call = replay.prepare(model, chosen.args, chosen.kwargs)
        first = replay.play(call, False)
        # What is random in eval mode must show: other numbers for the second pass.
        second = replay.play(call, False, seed=_OTHER)
        outcome = replay.replay(
            call, id=recorder.next_capture(), model_id=root, purpose="prediction", original=first,
            modes=False, values=recorder.values, compare=role == "chosen",
            epoch=recorder.course.epochs, step=recorder.course.steps,
        )  # fmt: skip
        if outcome.raised is not None:
            return _missing(outcome.raised.words())
        told = _prediction(chosen, strand, first, second, outcome)
        # Of other rows the spread tells more than one pass in train mode.
        other = _train_difference(call, first) if role == "chosen" else None
        told = msgspec.structs.replace(told, role=role, train_difference=other)
        facts = [*outcome.facts, *drawing.looked_at(recorder, call, strand, outcome.facts)]
        return Traced(facts, told, call, first)
    except Exception as error:
        return _missing(f"{type(error).__name__}: {error}")


def spreading(traced: Traced, strand: Strand | None, rows: float) -> Prediction:
    """Return the prediction with what many draws of dropout give.

    Args:
        traced: The row.
        strand: The training that knows what draws.
        rows: How many rows may go through the model for it.
    """
    ops = [fact for fact in traced.facts if isinstance(fact, Op)]
    numbers = sum(math.prod(tensor.shape) for op in ops for tensor in op.outputs)
    found = spread(traced.call, traced.output, strand, rows, numbers)
    return msgspec.structs.replace(traced.prediction, spread=found)


def _prediction(
    chosen: Chosen, strand: Strand | None, first: Any, second: Any, outcome: replay.Outcome
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
