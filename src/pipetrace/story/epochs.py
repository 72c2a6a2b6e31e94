"""One training is joined into one row per epoch, each number with where it was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

from pipetrace.parts import telling
from pipetrace.records import (
    Capture,
    Dataset,
    Ended,
    Epoch,
    Evaluation,
    Histograms,
    Layers,
    Model,
    Notice,
    Op,
    Prediction,
    Probe,
    Provenance,
    Score,
)
from pipetrace.records import Training as TrainingRecord
from pipetrace.story.drawing import named, staying
from pipetrace.story.figures import plural
from pipetrace.tracefile import Recording

OWN = "pipetrace's own training loop"
"""What trains where a table is fitted."""
_UNEQUAL = "none of them equal to a row trained on"
OfTraining = TypeVar("OfTraining", Epoch, Probe, Layers, Evaluation, Histograms)


@dataclass(frozen=True)
class Row:
    """One epoch; epoch 0 holds evaluations made before any training."""

    index: int
    epoch: Epoch | None = None
    probe: Probe | None = None
    scores: dict[str, Score] = field(default_factory=dict)
    """The last evaluation of the epoch under each label; of those in a row each has its own."""
    layers: Layers | None = None
    losses: Sequence[float] = ()
    """Of each step, where every step has one."""

    @property
    def speed(self) -> float | None:
        """Examples per second of training."""
        known = self.epoch is not None and self.epoch.score.rows and self.epoch.seconds
        return self.epoch.score.rows / self.epoch.seconds if self.epoch and known else None

    @property
    def loop(self) -> Score | None:
        """The loop's own mean, over weights that changed underneath."""
        return self.epoch.score if self.epoch else None


@dataclass(frozen=True)
class Trace:
    """One training, epoch by epoch."""

    training: TrainingRecord
    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    """Labels of the evaluations, the held-out ones first."""
    notes: dict[str, str]
    """What each label means."""
    classes: int | None = None
    drops: bool = False
    """Whether a dropout is known to be in the model."""
    loop: str = "the script"
    """Whose loop trained: the user's script, or our own where a table was fitted."""

    broken_off: bool = False
    """Whether the program ended in the middle of the last epoch."""
    staying: str = ""
    """What draws in eval mode too, by name: no probe switched it off."""
    model: Model | None = None
    calls: tuple[tuple[str, str], ...] = ()
    """Module and function of each op of a captured forward, in order."""
    terms: bool = False
    """Whether the loop's loss is another than what fixed rows and evaluations are scored with."""
    histograms: tuple[Histograms, ...] = ()

    @property
    def normalised(self) -> bool:
        """Whether the model has batch normalisation, whose mode no probe switches on."""
        parts = self.model.modules if self.model else ()
        return any("BatchNorm" in part.type for part in parts)

    @property
    def epochs(self) -> tuple[Row, ...]:
        """The rows of real epochs."""
        return tuple(row for row in self.rows if row.epoch is not None)

    @property
    def length(self) -> str:
        """How many epochs there are, in words: one that was broken off is told apart."""
        whole = len(self.epochs) - self.broken_off
        if not self.broken_off:
            return plural(whole, "epoch")
        return (
            f"{plural(whole, 'complete epoch')} and a part of one" if whole else "part of an epoch"
        )

    @property
    def held(self) -> str:
        """The label of the evaluation to compare with, or nothing."""
        return next((name for name in self.labels if not name.startswith("seen")), "")

    @property
    def random(self) -> bool:
        """Whether the probes found anything to switch on and off."""
        return any(row.probe and row.probe.masks > 0 for row in self.rows)

    @property
    def dropout(self) -> bool:
        """Whether the probes switched all dropout on and off."""
        return self.random and self.drops and not self.staying


def traces(recording: Recording) -> list[Trace]:
    """Return every training of the run with its epochs."""
    epochs = _by_training(recording.all(Epoch))
    probes = _by_training(recording.all(Probe))
    layers = _by_training(recording.all(Layers))
    evaluations = _by_training(recording.all(Evaluation))
    histograms = _by_training(recording.all(Histograms))
    dropping = _dropping(recording)
    origin = recording.first(Provenance)
    loop = OWN if origin and origin.origin == "table" else "the script"
    ended = recording.last(Ended)
    early = ended is not None and ended.status != "finished"
    models = {model.id: model for model in recording.all(Model)}
    notices = {notice.id for notice in recording.all(Notice)}
    several = len(recording.all(Model)) > len(recording.all(TrainingRecord))
    return [
        _trace(
            training,
            epochs.get(training.id, []),
            {probe.epoch: probe for probe in probes.get(training.id, [])},
            evaluations.get(training.id, []),
            classes(recording, training),
            training.model in dropping or bool(dropping and several),
            loop,
            _staying(recording, None if several else training.model),
            early,
            {item.epoch: item for item in layers.get(training.id, [])},
            recording.series.get(f"loss/{training.id}", ()),
            models.get(training.model),
            _calls(recording, training.model),
            f"terms-{training.id}" in notices,
            tuple(histograms.get(training.id, ())),
        )
        for training in recording.all(TrainingRecord)
    ]


def classes(recording: Recording, training: TrainingRecord) -> int | None:
    """Return how many classes a classifier chooses from, or None where that is unknown."""
    if training.task == "binary":
        return 2
    if training.task != "classes":
        return None
    for capture in recording.all(Capture):
        if capture.model == training.model and capture.outputs:
            sizes = capture.outputs[0][1].shape
            if len(sizes) == 2:
                return sizes[1]
    named = max((len(data.classes) for data in recording.all(Dataset)), default=0)
    shares = max((len(item.probabilities) for item in recording.all(Prediction)), default=0)
    return max(named, shares) or None


def finite(value: float | None) -> float | None:
    """Return a number that can be compared, else None."""
    return value if value is not None and math.isfinite(value) else None


_DROPPING = {"scaled_dot_product_attention", "multi_head_attention_forward", "lstm", "gru"}
"""Functions with a dropout inside of which no mask is known."""


def _dropping(recording: Recording) -> set[int]:
    """Return the ids of the models that have a dropout, as a module or as a call."""
    roots = {capture.id: capture.model for capture in recording.all(Capture)}
    found = {roots[op.capture] for op in recording.all(Op) if op.mask and op.capture in roots}
    found |= {
        model.id
        for model in recording.all(Model)
        if any("Dropout" in part.type for part in model.modules)
    }
    # Where something else draws too, what the probe switches is not dropout alone.
    others = Counter(
        op.capture
        for op in recording.all(Op)
        if op.random and not op.mask and op.function not in _DROPPING
    )
    # A mask written by hand has its draw in an operation of its own.
    written = Counter(
        op.capture for op in recording.all(Op) if op.mask and not op.random and op.mask.p < 1
    )
    return found - {roots[capture] for capture in others - written if capture in roots}


def _calls(recording: Recording, model: int) -> tuple[tuple[str, str], ...]:
    """Return what a captured forward of a model called, in order."""
    first = next((item.id for item in recording.all(Capture) if item.model == model), None)
    return tuple((op.module, op.function) for op in recording.all(Op) if op.capture == first)


def _staying(recording: Recording, model: int | None) -> str:
    found = staying(recording, model)
    if not found:
        return ""
    forward, ops = found
    # A module that was left in train mode is switched by the probes like every other.
    ops = [op for op in ops if forward.capture.training or not op.training]
    return named(forward, ops) if ops else ""


def _by_training(facts: Iterable[OfTraining]) -> dict[int, list[OfTraining]]:
    groups: dict[int, list[OfTraining]] = {}
    for fact in facts:
        groups.setdefault(fact.training, []).append(fact)
    return groups


def _trace(
    training: TrainingRecord,
    epochs: list[Epoch],
    probes: dict[int, Probe],
    evaluations: list[Evaluation],
    classes: int | None,
    drops: bool,
    loop: str,
    staying: str,
    early: bool,
    layers: dict[int, Layers],
    series: Sequence[float],
    model: Model | None,
    calls: tuple[tuple[str, str], ...],
    terms: bool,
    histograms: tuple[Histograms, ...],
) -> Trace:
    again = next((epoch.repeated for epoch in epochs if epoch.repeated is not None), None)
    notes, scores = _evaluated(evaluations, loop, again)
    every = len(series) == sum(epoch.steps for epoch in epochs)
    ends = dict(zip((e.index for e in epochs), accumulate(e.steps for e in epochs), strict=True))
    found = {epoch.index: epoch for epoch in epochs}
    rows = tuple(
        Row(
            index=index,
            epoch=found.get(index),
            probe=probes.get(index),
            scores=scores.get(index, {}),
            layers=layers.get(index),
            losses=series[ends[index] - found[index].steps : ends[index]]
            if every and index in found
            else (),
        )
        for index in sorted({*found, *scores})
    )
    order = ("held-out", "evaluation", "seen")
    labels = sorted(notes, key=lambda label: order.index(label.split(" ")[0]))
    steps = [epoch.steps for epoch in epochs[-2:]]
    broken_off = bool(epochs) and (
        not epochs[-1].complete or (early and len(steps) == 2 and steps[1] < steps[0])
    )
    return Trace(training, rows, tuple(labels), notes, classes, drops, loop, broken_off, staying,
                 model, calls, terms, histograms)  # fmt: skip


def _evaluated(
    evaluations: Sequence[Evaluation], loop: str, again: float | None
) -> tuple[dict[str, str], dict[int, dict[str, Score]]]:
    """Return what each label means, and each epoch's last score under each label."""
    labels = {id(item): _label(item, loop, again) for item in evaluations}
    for name in {item.name for item in evaluations}:
        own = [item for item in evaluations if item.name == name]
        checked = [item for item in own if item.seen is not None]
        # Rows are looked up until there are too many: what is unknown before that says more.
        first = [item for item in own if item.epoch or item.seen is not None][: len(checked)]
        one_pass = (
            first == checked
            and len({item.epoch for item in own}) == len(own)
            and len({item.score.rows for item in own}) == 1
        )
        if one_pass and 0 < len(checked) < len(own) and not any(item.seen for item in checked):
            label, note = _label(checked[0], loop, again)
            some = f"{_UNEQUAL}, as far as checked ({len(checked)} of {len(own)} times)"
            note = note.replace(_UNEQUAL, some)
            labels.update(dict.fromkeys(map(id, own), (label, note)))
    notes: dict[str, str] = {}
    scores: dict[int, dict[str, Score]] = {}
    turns: Counter[tuple[str, int, int]] = Counter()
    for item in evaluations:
        label, note = labels[id(item)]
        # Other rows (a test set after the last epoch), or other weights: no part of one series.
        turns[place := (label, item.epoch, item.step)] += 1
        if turns[place] > 1:
            label = f"{label} {turns[place]}"
            note += f"; evaluation {turns[place]} in a row, without a step in between"
        notes[label] = note
        scores.setdefault(item.epoch, {})[label] = item.score
    return notes, scores


def _label(evaluation: Evaluation, loop: str, again: float | None) -> tuple[str, str]:
    """Name an evaluation by what is known of its rows, compared number by number.

    Where few training rows came `again`, that no row of an evaluation is equal tells nothing.
    """
    name = f" ({evaluation.name})" if evaluation.name else ""
    seen = evaluation.seen
    if not seen and not telling(again, evaluation.score.rows):
        label = "evaluation"
        few = f"only {again * 100:.2g} % of the second epoch's" if again else "no"
        note = (
            f"rows evaluated by {loop}; whether they were trained on is unknown, for {few} "
            "training rows had come before"
        )
    elif seen is None:
        label = "evaluation"
        note = f"rows evaluated by {loop}; whether they were trained on is unknown"
    elif seen == 0:
        label = "held-out"
        note = f"rows evaluated by {loop}, {_UNEQUAL}"
    else:
        # A few equal rows, as tables often have, do not make an evaluation one of training rows.
        label = "seen rows" if seen > 0.5 else "evaluation"
        note = f"rows evaluated by {loop}, {seen * 100:.0f} % of them equal to a row trained on"
    mode = {True: "train mode", False: "eval mode", None: "mixed modes"}[evaluation.mode]
    by = "; the loss is pipetrace's own computation" if evaluation.loss_by == "pipetrace" else ""
    return label + name, f"{note}; {mode}{by}"
