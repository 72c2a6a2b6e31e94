"""What the predictions of an evaluation are worth, from what its loss function received."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy
import torch

from pipetrace.parts import Bin, Classification, Labelling, Regression
from pipetrace.records import Metrics
from pipetrace.training.scores import LARGE, LossCall, task, thinned
from pipetrace.training.tallies import read
from pipetrace.training.weights import by_class

BINS = 10
"""Intervals of probability in which calibration is measured."""
CLASSES = 64
"""Classes up to which the confusion matrix is stated."""
PAIRS = 20
"""Confused pairs that are stated where there are more classes."""
LABELS = 256
RESIDUALS = 20
_CHUNK = 1 << 20
"""Numbers that are worked on at once."""

Array = numpy.ndarray[Any, Any]
Columns = Callable[[LossCall, torch.Tensor, torch.Tensor], list[torch.Tensor]]


def measure(
    calls: Sequence[LossCall], training: int, epoch: int, evaluation: int
) -> Metrics | None:
    """State metrics of the batches of one evaluation.

    Args:
        calls: What the loss function received, batch by batch.
        training: Which training was evaluated.
        epoch: Epochs completed before.
        evaluation: The evaluation's index.

    Returns:
        The metrics; None where the loss function does not tell what its numbers mean, where
        batches went to several, or where there is nothing to count.
    """
    first = calls[0] if calls else None
    kind = "" if first is None else task(first.name)
    if first is None or not kind:
        return None
    if any(call.name != first.name or not call.unchanged() for call in calls):
        return None
    exact = not any(call.sampled for call in calls)
    made = Metrics(
        training=training, epoch=epoch, evaluation=evaluation, loss=first.name, counted=0,
        exact=exact,
    )  # fmt: skip
    make = {"classes": _classes, "binary": _binary, "values": _values}[kind]
    try:
        with torch.no_grad(), numpy.errstate(all="ignore"):
            return make(made, calls)
    except RuntimeError:  # targets that do not fit the predictions, or lie on several devices
        return None


def digested(call: LossCall) -> LossCall:
    """Reduce a large batch of classes to a few numbers of each target, others to fewer targets.

    Args:
        call: What the loss function received in an evaluation.

    Returns:
        A call that holds little memory. Of more than 1,048,576 scores evenly spread targets are
        looked at.
    """
    if call.input.numel() <= LARGE or task(call.name) != "classes":
        return thinned(call)
    whole = msgspec.structs.replace(call, counted=call.weight(), whole=call.input.numel())
    try:
        with torch.no_grad():
            some = thinned(whole, _CHUNK)
            digest = _stack([some], _choices)
    except RuntimeError:  # targets that do not fit: the program will hear of it
        return thinned(call)
    shape = (0, *call.input.shape[1:])
    return msgspec.structs.replace(
        some, input=digest.new_empty(shape),
        target=digest.new_empty(shape, dtype=call.target.dtype),
        digest=digest, versions=(0, 0),
    )  # fmt: skip


def _classes(made: Metrics, calls: Sequence[LossCall]) -> Metrics | None:
    chosen, truth, confidence, entropy, rank = _host(calls, _choices)
    classes = calls[0].input.shape[min(1, calls[0].input.dim() - 1)]
    made, keep = _counted(made, calls, truth >= 0, ~numpy.isnan(confidence), classes)
    if not keep.any():
        return made if made.invalid else None
    chosen, truth = chosen[keep].astype(int), truth[keep].astype(int)
    confidence, right = confidence[keep], chosen == truth
    found = Classification(
        classes=classes,
        accuracy=float(right.mean()),
        majority=float(numpy.bincount(truth).max() / len(truth)),
        top5=float((rank[keep] < 5).mean()) if classes > 5 else None,
        confusion=_confusion(truth, chosen, classes) if classes <= CLASSES else (),
        confused=_confused(truth, chosen, classes) if classes > CLASSES else (),
    )
    # Numbers that nobody normalised are no probabilities.
    if made.loss != "multi_margin_loss" and confidence.max() < 1.001:
        mean, count = _loss(calls) or (float(entropy[keep].mean()), len(truth))
        bins = _bins(confidence, right)
        found = msgspec.structs.replace(found, bins=bins, entropy=mean, entropy_count=count)
    return msgspec.structs.replace(made, classification=found)


def _choices(call: LossCall, logits: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """Return for each target: class chosen, true class or -1, probability, entropy and rank."""
    logits = _last(logits)
    shares = _last(target) if target.is_floating_point() else None
    if shares is None:
        truth = target.reshape(-1)
        truth = truth.where(truth != call.options.get("ignore_index", -100), -1)
    else:
        truth = shares.argmax(1)
    best, chosen = logits.max(1)
    own = logits.gather(1, truth.clamp(min=0)[:, None])
    norm = logits.logsumexp(1) if call.name == "cross_entropy" else torch.zeros_like(best)
    confidence = best if call.name == "multi_margin_loss" else (best - norm).exp()
    entropy = norm - own.squeeze(1)
    if shares is not None:
        entropy = (shares * (norm[:, None] - logits)).where(shares > 0, 0).sum(1)
    return [chosen, truth, confidence, entropy, (logits > own).sum(1)]


def _binary(made: Metrics, calls: Sequence[LossCall]) -> Metrics | None:
    scores, given = _host(calls, _pairs)
    labels = _outputs(calls[0])
    low, high = given.min(initial=1), given.max(initial=0)
    if ((given != low) & (given != high)).any():
        return None  # shares or grey values, and no labels
    truth = (given > (0 if made.loss == "soft_margin_loss" else 0.5)).reshape(-1, labels)
    odds = scores.reshape(-1, labels)
    if made.loss == "binary_cross_entropy":
        chance = odds
        entropy = -numpy.maximum(numpy.log(numpy.where(truth, chance, 1 - chance)), -100)
    else:
        chance = 1 / (1 + numpy.exp(-odds))
        entropy = numpy.logaddexp(0, numpy.where(truth, -odds, odds))
    everything = numpy.ones(len(truth), bool)
    made, keep = _counted(made, calls, everything, ~numpy.isnan(chance).any(1), labels)
    if not keep.any():
        return made if made.invalid else None
    chance, truth = chance[keep], truth[keep]
    chosen = odds[keep] > (0.5 if made.loss == "binary_cross_entropy" else 0)
    bins, mean = _bins(chance.ravel(), truth.ravel()), float(entropy[keep].mean())
    right, positive = chosen == truth, float(truth.mean())
    if labels > 1:
        table = numpy.stack(
            [chosen & truth, chosen & ~truth, ~chosen & truth, ~chosen & ~truth], -1
        ).sum(0)  # fmt: skip
        counts = tuple(map(tuple, table[:LABELS].tolist()))
        told = Labelling(
            labels=labels, accuracy=float(right.mean()), subset=float(right.all(1).mean()),
            none=1 - positive, counts=counts, totals=tuple(table.sum(0).tolist()), bins=bins,
            entropy=mean,
        )  # fmt: skip
        return msgspec.structs.replace(made, labelling=told)
    found = Classification(
        classes=2, accuracy=float(right.mean()), majority=max(positive, 1 - positive),
        confusion=_confusion(truth[:, 0].astype(int), chosen[:, 0].astype(int), 2), bins=bins,
        entropy=mean, entropy_count=len(truth),
    )  # fmt: skip
    return msgspec.structs.replace(made, classification=found)


def _values(made: Metrics, calls: Sequence[LossCall]) -> Metrics | None:
    outputs = _outputs(calls[0])
    predicted, truth = (column.reshape(-1, outputs) for column in _host(calls, _pairs))
    errors = truth - predicted
    everything = numpy.ones(len(truth), bool)
    made, keep = _counted(made, calls, everything, numpy.isfinite(errors).all(1), outputs)
    if not keep.any():
        return made if made.invalid else None
    errors, truth = errors[keep], truth[keep]
    around = truth - truth.mean(0)
    spread = (around**2).sum(0)
    varies = spread > 0
    r2 = 1 - (errors**2).sum(0)[varies] / spread[varies]
    low, high = float(errors.min()), float(errors.max())
    counts = numpy.histogram(errors, RESIDUALS, (low, high))[0]
    found = Regression(
        outputs=outputs, count=errors.size, r2=float(r2.mean()) if varies.any() else None,
        rmse=float((errors**2).mean() ** 0.5), mae=float(numpy.abs(errors).mean()),
        bias=float(-errors.mean()), mean_rmse=float((around**2).mean() ** 0.5),
        mean_mae=float(numpy.abs(around).mean()), low=low, high=high,
        residuals=tuple(counts.tolist()),
    )  # fmt: skip
    return msgspec.structs.replace(made, regression=found)


def _pairs(call: LossCall, scores: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    if scores.shape != target.shape:
        raise RuntimeError("broadcast")
    if scores.dim() > 2:
        scores, target = _last(scores), _last(target)
    return [scores.flatten(), target.flatten()]


def _outputs(call: LossCall) -> int:
    return call.input.shape[1] if call.input.dim() > 1 else 1


def _last(tensor: torch.Tensor) -> torch.Tensor:
    """Move classes from dimension 1 to the end, and join all others."""
    return tensor[None] if tensor.dim() == 1 else tensor.movedim(1, -1).reshape(-1, tensor.shape[1])


def _host(calls: Sequence[LossCall], columns: Columns) -> Array:
    """Make columns of all targets, with one transfer from the device."""
    made = [call.digest for call in calls if call.digest is not None]
    made += [_stack(chunk, columns) for chunk in _chunks(calls)]
    return torch.cat(made, 1).cpu().numpy().astype(float)


def _stack(calls: Sequence[LossCall], columns: Columns) -> torch.Tensor:
    scores = torch.cat([call.input for call in calls])
    targets = torch.cat([call.target.reshape(call.target.shape or 1) for call in calls])
    scores = scores.float() if scores.element_size() < 4 else scores
    kind = torch.result_type(scores, targets)
    return torch.stack([column.to(kind) for column in columns(calls[0], scores, targets)])


def _chunks(calls: Sequence[LossCall]) -> Iterator[list[LossCall]]:
    """Put batches of equal shapes together, as long as that is not too much at once."""
    chunk: list[LossCall] = []
    size = 0
    for call in calls:
        if call.digest is not None:
            continue
        size += call.input.numel()
        if chunk and (call.input.shape[1:] != chunk[-1].input.shape[1:] or size > _CHUNK):
            yield chunk
            chunk, size = [], call.input.numel()
        chunk.append(call)
    if chunk:
        yield chunk


def _counted(
    made: Metrics, calls: Sequence[LossCall], wanted: Array, valid: Array, each: int
) -> tuple[Metrics, Array]:
    """State how many targets were counted, and return which; each has so many predictions."""
    keep = wanted & valid
    made = msgspec.structs.replace(
        made, counted=int(keep.sum()), ignored=int((~wanted).sum()),
        total=sum(call.whole or call.input.numel() for call in calls) // each,
        invalid=int((wanted & ~valid).sum()),
    )  # fmt: skip
    return made, keep


def _confusion(truth: Array, chosen: Array, classes: int) -> tuple[tuple[int, ...], ...]:
    counts = numpy.bincount(truth * classes + chosen, minlength=classes**2)
    return tuple(map(tuple, counts.reshape(classes, classes).tolist()))


def _confused(truth: Array, chosen: Array, classes: int) -> tuple[tuple[int, int, int], ...]:
    wrong = truth != chosen
    pairs, counts = numpy.unique(truth[wrong] * classes + chosen[wrong], return_counts=True)
    most = numpy.argsort(-counts, kind="stable")[:PAIRS]
    return tuple(
        (int(pairs[at] // classes), int(pairs[at] % classes), int(counts[at])) for at in most
    )


def _bins(chance: Array, came: Array) -> tuple[Bin, ...]:
    place = numpy.minimum((chance * BINS).astype(int), BINS - 1)
    counts, chances, shares = (
        numpy.bincount(place, each, BINS) for each in (None, chance, came.astype(float))
    )
    return tuple(
        Bin(count=int(count), probability=float(p / count), share=float(share / count))
        if count
        else Bin()
        for count, p, share in zip(counts, chances, shares, strict=True)
    )


def _loss(calls: Sequence[LossCall]) -> tuple[float, int] | None:
    """Return the mean loss of all targets where that is their cross entropy and some are left out.

    Class weights, label smoothing and means over ignored targets make it something else.
    """
    if not any(call.sampled for call in calls):
        return None
    options = calls[0].options
    if options.get("weight") is not None or options.get("label_smoothing"):
        return None
    if options.get("reduction") == "none" or not by_class(calls[0].name, calls[0].target):
        return None
    weights = read([torch.as_tensor(call.weight()) for call in calls])
    values = read([call.value for call in calls])
    sums = [value * weight for value, weight in zip(values, weights, strict=True) if weight]
    return (sum(sums) / sum(weights), round(sum(weights))) if sums else None
