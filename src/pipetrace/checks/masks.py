"""Dropout whose masks are of the wrong shape or scale, or reach what they should not."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced, number
from pipetrace.checks.findings import Found
from pipetrace.checks.flow import (
    BENDING,
    DROPPING,
    HIDING,
    ancestors,
    data,
    features,
    inputs,
    layers,
    masked,
    source,
)
from pipetrace.checks.registry import rule
from pipetrace.records import Op
from pipetrace.tried import Aliased, Scaling

_LEADING = {("dropout1d", 2): 1, ("dropout3d", 4): 1}
"""Dimensions that tell channels apart, where there is no batch; else there are two."""
_WHOLE = {"dropout1d", "dropout2d", "dropout3d", "feature_dropout", "feature_dropout_",
          "feature_alpha_dropout", "feature_alpha_dropout_"}  # fmt: skip
_UNIFORM = {"rand", "rand_like", "uniform_"}
_COMPARING = {"lt", "le", "gt", "ge", "less", "greater", "less_equal", "greater_equal"}
_APART, _EQUAL = 0.01, 0.2
_INFLATED = 1.1


@rule("PTR205", "dropout-of-the-wrong-dimension", "warning")
def wrong_dimension(evidence: Evidence) -> Iterator[Found]:
    """Dropout of channels where the channels are elsewhere.

    `nn.Dropout1d`, `2d` and `3d` drop slices along dimension 1. Of (batch, time, features) that
    is a whole time step with all its features; of (batch, features) with `Dropout1d`, a whole row.

    The training forward tells which dimension holds the features: linear layers, embeddings,
    layer norm and recurrent layers have them last, convolutions and batch norm in dimension 1, and
    views and transpositions move them. What was dropped is the mask that was drawn. Words that
    `Dropout1d` drops right after an embedding may be meant: advice. Write `nn.Dropout`, or bring
    the features to dimension 1.
    """
    for forward in evidence.training:
        for op in masked(forward):
            if op.function not in _WHOLE or op.mask is None or not op.input_shapes:
                continue
            shape = op.input_shapes[0]
            leading = _LEADING.get((op.function, len(shape)), 2)
            axis = features(forward, op)
            if axis is None or axis < leading or len(shape) <= leading:
                continue
            before = source(forward, op)
            words = (
                op.function == "dropout1d"
                and before is not None
                and (before.function == "embedding")
            )
            yield Found(
                message=f"`{op.module or op.function}` drops whole feature vectors: the features "
                f"of what it is given lie in dimension {axis}.",
                evidence=f"`{op.function}` on {shape} dropped {op.mask.total - op.mask.kept:,} of "
                f"{op.mask.total:,} slices, each with all {shape[axis]} features.",
                fix="nn.Dropout(p)  # or x.transpose(1, 2) before nn.Dropout1d, and again after",
                module=op.module, place=evidence.line(forward, op),
                severity="advice" if words else "",
            )  # fmt: skip


@rule("PTR207", "dropout-not-rescaled", "warning")
def not_rescaled(evidence: Evidence) -> Iterator[Found]:
    """Dropout by hand that does not keep the mean.

    In training each unit is smaller by 1 - p on average than in eval mode, so that the layers after
    meet larger numbers in eval mode than they were trained on.

    The training forward is played with the mean of the mask in its place, all other modules in eval
    mode: it equals the eval forward if the dropout rescales anywhere, in training or in eval mode,
    in whatever way. What is found differs, and is equal once multiplied by 1 / (1 - p); by
    p / (1 - p), where it was divided by p; or by 1 - p, where both modes rescale. Corrupting
    what the model is given, dropping words, tokens or conditions is meant. Write
    `x * mask / (1 - p)`.
    """
    told = {(each.capture, each.op): each for each in evidence.all(Scaling)}
    for forward in evidence.training:
        for op in masked(forward):
            scaling = told.get((forward.capture.id, op.index))
            if scaling is None or scaling.apart < _APART:
                continue
            if scaling.scaled > _EQUAL * scaling.apart or _corrupts(forward, op):
                continue
            yield Found(
                message=f"The dropout by hand in {forward.name(op.module)} does not keep the "
                "mean: training and eval mode are scaled differently.",
                evidence=f"p = {scaling.p:g}: at the mean of its mask the output is "
                f"{scaling.apart:.1%} away from eval mode, and {scaling.scaled:.1%} once what is "
                f"kept is multiplied by {scaling.factor:.3g}.",
                fix=f"x * mask / {1 - scaling.p:g} if self.training else x", module=op.module,
                place=op.called,
            )  # fmt: skip


@rule("PTR209", "dropout-discarded", "warning")
def discarded(evidence: Evidence) -> Iterator[Found]:
    """Dropout whose result nobody uses.

    `self.drop(x)` gives a new tensor and leaves `x` as it is: where the result is not assigned,
    the model trains without dropout.

    In the training forward a dropout ran, no op took its output, nor was it returned, and a later
    op took what it had been given. A result that is kept for a plot beside others that are used
    is silent where its input is not used again. Write `x = self.drop(x)`.
    """
    for forward in evidence.training:
        for op in masked(forward):
            if op.function not in DROPPING or op.function.endswith("_") or op.mask is None:
                continue
            inplace = any(a.name == "inplace" and a.value == "True" for a in op.arguments)
            unused = not forward.users[op.index] and op.index not in forward.capture.returned
            if inplace or not unused or not op.inputs:
                continue
            given = op.inputs[0]
            later = [
                each for each in forward.ops[op.index + 1 :]
                if any(link == given for link in each.inputs)
            ]  # fmt: skip
            if later:
                yield Found(
                    message=f"The result of `{op.module or op.function}` is thrown away.",
                    evidence=f"It dropped {op.mask.total - op.mask.kept:,} of {op.mask.total:,} "
                    f"{op.mask.unit}, no op took them, and `{later[0].function}` took what it had "
                    "been given.",
                    fix="x = self.drop(x)", module=op.module, place=op.called,
                )  # fmt: skip


@rule("PTR210", "in-place-dropout-seen-elsewhere", "warning")
def in_place(evidence: Evidence) -> Iterator[Found]:
    """In-place dropout that another reader of the tensor sees.

    A skip connection that adds the same tensor back adds the dropped one: the path that was to stay
    whole loses its share too.

    The training forward is played with the same masks, and the dropout writing into a copy: another
    output tells that somebody else reads the tensor. In-place dropout whose input nobody reads
    again is fine, and silent. Write `inplace=False`.
    """
    told = {(each.capture, each.op): each for each in evidence.all(Aliased)}
    for forward in evidence.training:
        for op in masked(forward):
            aliased = told.get((forward.capture.id, op.index))
            if aliased is None or op.mask is None or aliased.apart < 1e-5:
                continue
            readers = len(forward.users[op.index])
            yield Found(
                message=f"`{op.module or op.function}` drops in place what is read elsewhere too.",
                evidence=f"With the same mask on a copy the output is {aliased.apart:.1%} "
                f"different; {readers} ops took the tensor after it lost "
                f"{op.mask.total - op.mask.kept:,} of {op.mask.total:,} {op.mask.unit}.",
                fix=f"nn.Dropout({op.mask.p:g}, inplace=False)", module=op.module,
                place=evidence.line(forward, op),
            )  # fmt: skip


@rule("PTR211", "dropout-before-batch-norm", "warning")
def before_batch_norm(evidence: Evidence) -> Iterator[Found]:
    """Dropout right before batch normalisation.

    Dropout keeps the mean and raises the variance. Batch norm keeps that variance for eval mode,
    where nothing is dropped: all that comes after it is then too small ("variance shift", Li et
    al. 2019, https://arxiv.org/abs/1801.05134).

    In the training forward batch norm takes, past ReLUs and views, what a dropout gave, and
    normalises with the batch; the variance is compared before and after the dropout. Dropout after
    batch norm, or with a layer between, is silent; a small rise is advice. Put it after the last
    batch norm.
    """
    for forward in evidence.training:
        for op in forward.ops:
            if op.function != "batch_norm" or not _of_the_batch(op):
                continue
            drop = source(forward, op, 0, frozenset(BENDING))
            if drop is None or drop.mask is None or drop.mask.unit not in ("elements", "channels"):
                continue
            if drop.function in HIDING or not 0 < drop.mask.p < 1:
                continue
            ratio = _inflation(forward, drop)
            if ratio is None or ratio <= 1:
                continue
            yield Found(
                message=f"`{drop.module or drop.function}` drops right before batch norm "
                f"`{op.module}`.",
                evidence=f"In training the variance that enters batch norm is {ratio:.2f} times "
                f"that in eval mode (p = {drop.mask.p:g}), and its running variance keeps it.",
                fix="nn.Sequential(linear, batch_norm, nn.ReLU(), dropout)  # dropout after it",
                module=drop.module or op.module, place=evidence.line(forward, drop),
                severity="" if ratio >= _INFLATED else "advice",
            )  # fmt: skip


@rule("PTR212", "rate-is-no-probability", "warning")
def no_probability(evidence: Evidence) -> Iterator[Found]:
    """Dropout by hand whose rate is no probability.

    A rate in percent, 30 for 0.3, drops everything or nothing: uniform numbers never reach it.

    In the training forward uniform numbers from 0 to 1 are compared with a number outside of that
    range, and all flags come out alike. A rate of exactly 0 or 1 is silent here. Write
    `torch.rand_like(x) < p / 100`.
    """
    for forward in evidence.training:
        for op in forward.ops:
            limit = number(op, "other")
            before = source(forward, op)
            if op.function not in _COMPARING or limit is None or 0 <= limit <= 1:
                continue
            drawn = before is not None and before.random and before.function in _UNIFORM
            if not drawn or not op.outputs or before is None or not before.outputs:
                continue
            low, high = before.outputs[0].minimum, before.outputs[0].maximum
            if low is None or high is None or low < 0 or high > 1:
                continue
            rate = limit / 100 if 1 < limit < 100 else 0.5
            yield Found(
                message=f"A mask in {forward.name(op.module)} compares uniform numbers with "
                f"{limit:g}, which is no probability.",
                evidence=f"The numbers drawn lie between {low:.3g} and {high:.3g}: all flags are "
                "alike, in every forward.",
                fix=f"p = {rate:g}\nmask = torch.rand_like(x) > p\nx = x * mask / (1 - p)",
                module=op.module, place=op.called,
            )  # fmt: skip


def _of_the_batch(op: Op) -> bool:
    return any(each.name == "training" and each.value == "True" for each in op.arguments)


def _inflation(forward: Traced, drop: Op) -> float | None:
    """Return the variance of what a dropout gave over that of what it took."""
    place = data(forward, drop) if drop.function not in DROPPING else 0
    before = None if not drop.inputs else drop.inputs[place]
    if before is None:
        return None
    if before.index is not None and before.index < len(forward.ops):
        took = forward.ops[before.index].outputs[0].std
    else:
        took = next((t.std for name, t in forward.capture.inputs if name == before.name), None)
    gave = drop.outputs[0].std
    if not took or gave is None or drop.mask is None:
        return None
    scale = drop.mask.scale if drop.function in DROPPING else 1.0
    return (gave / took) ** 2 if scale else None


def _corrupts(forward: Traced, op: Op) -> bool:
    """Tell what is meant without a scale: corrupted inputs, words, tokens, and conditions."""
    place = data(forward, op)
    link = op.inputs[place]
    if link.index is None or op.mask is None:
        return True
    made = forward.ops[link.index]
    if not layers(forward, made):
        return True
    axis = features(forward, made)
    if op.mask.unit == "channels" and axis is not None and axis > 1:
        return True
    return op.mask.unit == "rows" and not _residual(forward, op, made)


def _residual(forward: Traced, op: Op, branch: Op) -> bool:
    """Tell whether what a mask of rows kept is added to what its branch was computed from."""
    known = {each.index for each in ancestors(forward, branch)}
    given = inputs(forward, branch)
    reached = {op.index}
    for each in forward.ops[op.index + 1 :]:
        links = [link for link in each.inputs if link.index in reached]
        if links and each.function in ("add", "add_"):
            others = [link for link in each.inputs if link.index not in reached]
            return any(
                link.index in known if link.index is not None else link.name in given
                for link in others
            )
        if links and (each.view or len(each.inputs) == 1):
            reached.add(each.index)
    return False
