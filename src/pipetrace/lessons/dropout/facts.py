"""What the text of the dropout lesson may say of a run: its masks, its two modes, its classes."""

from __future__ import annotations

import math

from pipetrace.lessons.drafts import number
from pipetrace.lessons.dropout.reading import Losses, told_apart
from pipetrace.lessons.facts import fact, figure, percent, whole
from pipetrace.lessons.reading import Dropping, droppings, name_stage, speaking
from pipetrace.parts import Classification
from pipetrace.records import Metrics, Prediction
from pipetrace.tracefile import Recording


@fact("dropout")
def dropout(recording: Recording) -> str | None:
    """Whether a mask dropped elements in this run: `yes` or `no`."""
    return "no" if _first(recording) is None else "yes"


@fact("p")
def p(recording: Recording) -> str | None:
    """The probability with which the first dropout stage drops an element."""
    found = _first(recording)
    return None if found is None else number(found.mask.p)


@fact("scale")
def scale(recording: Recording) -> str | None:
    """What this stage multiplies the elements with that it keeps."""
    found = _first(recording)
    return None if found is None else number(found.mask.scale)


@fact("stage")
def stage(recording: Recording) -> str | None:
    """The stage, named as in the script."""
    found = _first(recording)
    return None if found is None else name_stage(found.op)


@fact("mask_total")
def mask_total(recording: Recording) -> str | None:
    """How many elements its mask covered."""
    found = _first(recording)
    return None if found is None else whole(found.mask.total)


@fact("mask_kept")
def mask_kept(recording: Recording) -> str | None:
    """How many elements its mask kept."""
    found = _first(recording)
    return None if found is None else whole(found.mask.kept)


@fact("mask_dropped")
def mask_dropped(recording: Recording) -> str | None:
    """How many elements its mask dropped."""
    found = _first(recording)
    return None if found is None else whole(found.mask.total - found.mask.kept)


@fact("mask_expected")
def mask_expected(recording: Recording) -> str | None:
    """How many elements such masks drop on average."""
    found = _first(recording)
    return None if found is None else figure(found.mask.total * found.mask.p)


@fact("drop_share")
def drop_share(recording: Recording) -> str | None:
    """The share of elements that its mask dropped."""
    found = _first(recording)
    return None if found is None else percent(1 - found.mask.kept / found.mask.total)


@fact("drop_share_low")
def drop_share_low(recording: Recording) -> str | None:
    """The smallest share in the central 95 % of such masks (binomial)."""
    found = _first(recording)
    return None if found is None else percent(1 - found.mask.high / found.mask.total)


@fact("drop_share_high")
def drop_share_high(recording: Recording) -> str | None:
    """The largest share in the central 95 % of such masks (binomial)."""
    found = _first(recording)
    return None if found is None else percent(1 - found.mask.low / found.mask.total)


@fact("drop_share_place")
def drop_share_place(recording: Recording) -> str | None:
    """Whether the mask's share lies `inside` or `outside` this range."""
    found = _first(recording)
    if found is None:
        return None
    return "inside" if found.mask.low <= found.mask.kept <= found.mask.high else "outside"


@fact("survivor_before")
def survivor_before(recording: Recording) -> str | None:
    """One real element that its mask kept, as it went in."""
    values = _survivor(recording)
    return None if values is None else number(values[0])


@fact("survivor_after")
def survivor_after(recording: Recording) -> str | None:
    """The same element as it came out."""
    values = _survivor(recording)
    return None if values is None else number(values[1])


@fact("mode_loss_on")
def mode_loss_on(recording: Recording) -> str | None:
    """The loss of some training rows with dropout on, where it was higher under every mask."""
    losses = _losses(recording)
    return None if losses is None else figure(losses.on)


@fact("mode_loss_off")
def mode_loss_off(recording: Recording) -> str | None:
    """The loss of the same rows at the same weights with dropout off."""
    losses = _losses(recording)
    return None if losses is None else figure(losses.off)


@fact("mode_rows")
def mode_rows(recording: Recording) -> str | None:
    """How many rows these were."""
    losses = _losses(recording)
    return None if losses is None else whole(losses.rows)


@fact("mode_masks")
def mode_masks(recording: Recording) -> str | None:
    """How many masks the loss with dropout on is the mean of."""
    losses = _losses(recording)
    return None if losses is None else whole(losses.masks)


@fact("mode_epoch")
def mode_epoch(recording: Recording) -> str | None:
    """The epoch after which both were measured."""
    losses = _losses(recording)
    return None if losses is None else whole(losses.epoch)


@fact("passes")
def passes(recording: Recording) -> str | None:
    """Whether two passes of the chosen sample in eval mode were `equal` or `different`."""
    for chosen in recording.all(Prediction):
        if chosen.role == "chosen" and chosen.passes_equal is not None:
            return "equal" if chosen.passes_equal else "different"
    return None


@fact("train_difference")
def train_difference(recording: Recording) -> str | None:
    """How far a pass in train mode moved the chosen sample's outputs at most."""
    chosen = (each for each in recording.all(Prediction) if each.role == "chosen")
    moved = next((each.train_difference for each in chosen), None)
    return figure(moved) if moved else None


@fact("classes")
def classes(recording: Recording) -> str | None:
    """How many classes there are."""
    found = _classification(recording)
    return None if found is None else whole(found.classes)


@fact("even_loss")
def even_loss(recording: Recording) -> str | None:
    """The cross entropy of giving every class the same probability."""
    found = _classification(recording)
    return None if found is None or found.classes < 2 else figure(math.log(found.classes))


@fact("majority")
def majority(recording: Recording) -> str | None:
    """The accuracy of always choosing the most frequent class."""
    found = _classification(recording)
    return None if found is None else percent(found.majority)


@fact("confidence")
def confidence(recording: Recording) -> str | None:
    """The mean probability that the model gave the class it chose."""
    found = _classification(recording)
    total = sum(each.count for each in found.bins) if found is not None else 0
    if found is None or not total or found.classes < 3:
        return None
    return percent(sum(each.probability * each.count for each in found.bins) / total)


@fact("weakest_class")
def weakest_class(recording: Recording) -> str | None:
    """The class with the lowest recall."""
    found = _weakest(recording)
    return None if found is None else str(found[0])


@fact("weakest_recall")
def weakest_recall(recording: Recording) -> str | None:
    """The share of its rows that the model found."""
    found = _weakest(recording)
    return None if found is None else percent(found[1])


@fact("weakest_found")
def weakest_found(recording: Recording) -> str | None:
    """How many of its rows the model found, of how many."""
    found = _weakest(recording)
    return None if found is None else f"{whole(found[2])} of {whole(found[3])}"


def _losses(recording: Recording) -> Losses | None:
    """Return those of the last epoch that dropout made worse, in a run with dropout."""
    found = told_apart(recording)
    return found[-1] if found and _first(recording) is not None else None


def _first(recording: Recording) -> Dropping | None:
    return next(iter(droppings(recording)), None)


def _survivor(recording: Recording) -> tuple[float, float] | None:
    """Return an element that the first mask kept, before and after, where the row tells one."""
    found = _first(recording)
    if found is None:
        return None
    places = set(speaking(found.before)) & set(speaking(found.after))
    for place, kept in enumerate(found.mask.row):
        if kept and place in places:
            return found.before[place], found.after[place]
    return None


def _classification(recording: Recording) -> Classification | None:
    found = recording.last(Metrics)
    return None if found is None else found.classification


def _weakest(recording: Recording) -> tuple[int, float, int, int] | None:
    """Return class, recall, hits and rows of the class with the lowest recall."""
    found = _classification(recording)
    if found is None:
        return None
    recalls = [
        (row[place] / sum(row), place, row[place], sum(row))
        for place, row in enumerate(found.confusion)
        if sum(row)
    ]
    if not recalls:
        return None
    recall, place, hits, rows = min(recalls)
    return place, recall, hits, rows
