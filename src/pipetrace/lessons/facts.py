"""Facts of a run that the text of a lesson may name: each is one function, under its name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import PurePath

from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.reading import heldout_losses
from pipetrace.records import (
    Dataset,
    Epoch,
    Evaluation,
    Model,
    Prediction,
    Probe,
    Provenance,
)
from pipetrace.tracefile import Recording

Tell = Callable[[Recording], str | None]
"""Returns a fact as text; None where the run lacks it."""
_facts: dict[str, Tell] = {}


def fact(name: str) -> Callable[[Tell], Tell]:
    """Register a fact, `{run.NAME}` in a text; the function's docstring says what it is.

    Raises:
        LessonError: the name is taken, or the docstring is missing.
    """

    def register(tell: Tell) -> Tell:
        known = _facts.setdefault(name, tell)
        if known.__qualname__ != tell.__qualname__ or known.__module__ != tell.__module__:
            raise LessonError(f"two facts have the name {name!r}: give one of them another.")
        if not inspect.getdoc(tell):
            raise LessonError(f"the fact {name!r} needs a docstring that says what it is.")
        return tell

    return register


def known() -> list[str]:
    """Return the names of all registered facts, as a text writes them."""
    return sorted(f"run.{name}" for name in _facts)


def told(recording: Recording) -> dict[str, str]:
    """Return what the run knows of them, by the name that a text writes.

    Raises:
        LessonError: one of the functions raised.
    """
    found: dict[str, str] = {}
    for name, tell in sorted(_facts.items()):
        try:
            text = tell(recording)
        except Exception as error:
            raise LessonError(
                f"the fact {{run.{name}}} could not be told: {type(error).__name__}: {error}."
            ) from error
        if text is not None and not isinstance(text, str):
            raise LessonError(f"the fact {{run.{name}}} must be text or None, and is {text!r}.")
        if text is not None:
            found[f"run.{name}"] = text
    return found


def figure(value: float | None) -> str | None:
    """Write a number with four significant digits; None where there is none.

    >>> figure(0.71604), figure(12345.0), figure(None), figure(float("nan")), figure(-0.0000012)
    ('0.716', '12,345', None, 'NaN', '-1.2e-06')
    """
    if value is None:
        return None
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(share: float | None) -> str | None:
    """Write a share as per cent with one decimal.

    >>> percent(0.302), percent(None)
    ('30.2 %', None)
    """
    return None if share is None else f"{share * 100:.1f} %"


def whole(count: int | None) -> str | None:
    """Write a count, grouped in threes from 10,000 on."""
    return None if count is None else f"{count:,}" if count >= 10_000 else str(count)


@fact("script")
def script(recording: Recording) -> str | None:
    """The file that ran."""
    origin = recording.first(Provenance)
    return None if origin is None else f"`{PurePath(origin.path).name or origin.name}`"


@fact("model")
def model(recording: Recording) -> str | None:
    """The class of the model."""
    found = recording.first(Model)
    return None if found is None else f"`{found.type}`"


@fact("parameters")
def parameters(recording: Recording) -> str | None:
    """How many parameters the model has."""
    found = recording.first(Model)
    return None if found is None else whole(found.parameters)


@fact("epochs")
def epochs(recording: Recording) -> str | None:
    """How many epochs were completed."""
    return whole(len(_epochs(recording))) if _epochs(recording) else None


@fact("steps")
def steps(recording: Recording) -> str | None:
    """Optimizer steps of one epoch."""
    return whole(_epochs(recording)[0].steps) if _epochs(recording) else None


@fact("rows")
def rows(recording: Recording) -> str | None:
    """Rows that were trained on."""
    return _rows(recording, "training")


@fact("heldout_rows")
def heldout_rows(recording: Recording) -> str | None:
    """Rows that were only evaluated."""
    evaluation = _evaluation(recording)
    return None if evaluation is None else whole(evaluation.score.rows)


@fact("training_loss_first")
def training_loss_first(recording: Recording) -> str | None:
    """Mean loss of the first epoch, as training saw it."""
    return figure(_epochs(recording)[0].score.loss) if _epochs(recording) else None


@fact("training_loss_last")
def training_loss_last(recording: Recording) -> str | None:
    """Mean loss of the last epoch, as training saw it."""
    return figure(_epochs(recording)[-1].score.loss) if _epochs(recording) else None


@fact("heldout_loss_first")
def heldout_loss_first(recording: Recording) -> str | None:
    """Loss on held-out rows after the first epoch."""
    losses = heldout_losses(recording)
    return figure(losses[min(losses)]) if losses else None


@fact("heldout_loss_last")
def heldout_loss_last(recording: Recording) -> str | None:
    """Loss on held-out rows after the last epoch."""
    losses = heldout_losses(recording)
    return figure(losses[max(losses)]) if losses else None


@fact("heldout_accuracy_last")
def heldout_accuracy_last(recording: Recording) -> str | None:
    """Share of held-out rows that the last weights told right."""
    evaluation = _evaluation(recording)
    return None if evaluation is None else percent(evaluation.score.accuracy)


@fact("eval_loss_last")
def eval_loss_last(recording: Recording) -> str | None:
    """Loss on training rows at the last weights, with dropout off."""
    probe = recording.last(Probe)
    return None if probe is None else figure(probe.off.loss)


@fact("train_mode_loss_last")
def train_mode_loss_last(recording: Recording) -> str | None:
    """Loss on the same rows at the same weights, with dropout on."""
    probe = recording.last(Probe)
    return None if probe is None else figure(probe.on.loss)


@fact("gap")
def gap(recording: Recording) -> str | None:
    """Held-out loss less the loss on training rows, both in eval mode, at the last weights."""
    probe, losses = recording.last(Probe), heldout_losses(recording, in_eval=True)
    if probe is None or probe.off.loss is None or probe.epoch not in losses:
        return None
    return figure(losses[probe.epoch] - probe.off.loss)


@fact("predicted")
def predicted(recording: Recording) -> str | None:
    """The class that the model gave the chosen sample."""
    chosen = _chosen(recording)
    if chosen is None or chosen.predicted is None:
        return None
    return _class(recording, chosen.predicted)


@fact("probability")
def probability(recording: Recording) -> str | None:
    """The probability that the model gave this class."""
    chosen = _chosen(recording)
    if chosen is None or chosen.predicted is None or not chosen.probabilities:
        return None
    return percent(chosen.probabilities[chosen.predicted])


@fact("truth")
def truth(recording: Recording) -> str | None:
    """The class, or the value, that the chosen sample really has."""
    chosen = _chosen(recording)
    if chosen is None or chosen.truth is None:
        return None
    return (
        figure(chosen.truth) if chosen.predicted is None else _class(recording, int(chosen.truth))
    )


@fact("accuracy")
def accuracy(recording: Recording) -> str | None:
    """Share of the rows of the last evaluation that were told right."""
    found = recording.last(Evaluation)
    return None if found is None else percent(found.score.accuracy)


def _epochs(recording: Recording) -> list[Epoch]:
    found = recording.all(Epoch)
    return [epoch for epoch in found if epoch.complete and epoch.training == found[0].training]


def _rows(recording: Recording, role: str) -> str | None:
    found = (data.rows for data in recording.all(Dataset) if data.role == role)
    return whole(next(found, None))


def _evaluation(recording: Recording) -> Evaluation | None:
    held = [item for item in recording.all(Evaluation) if item.seen == 0.0]
    return held[-1] if held else None


def _chosen(recording: Recording) -> Prediction | None:
    return next((item for item in recording.all(Prediction) if item.role == "chosen"), None)


def _class(recording: Recording, place: int) -> str:
    names = next((data.classes for data in recording.all(Dataset) if data.classes), ())
    return names[place] if place < len(names) else str(place)
