"""Dropout whose rate, place or very presence is not what its author can have meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced, argument, number, reached
from pipetrace.checks.findings import Found
from pipetrace.checks.flow import (
    BENDING,
    DROPPING,
    HIDING,
    RECURRENT,
    layers,
    masked,
    source,
    takers,
)
from pipetrace.checks.registry import rule
from pipetrace.observed import DropRate, Idle, Used
from pipetrace.records import Mask, Op, Place
from pipetrace.tried import Survival

_MOSTLY = 2 / 3
"""A share of the output's variance from which on it is mostly signal."""
_LOSSES = re.compile(
    r"cross_entropy|nll_loss|mse_loss|l1_loss|smooth_l1_loss|huber_loss|binary_cross_entropy\w*"
    r"|kl_div|poisson_nll_loss|gaussian_nll_loss|soft_margin_loss|multi\w*margin_loss|ctc_loss"
)
_RELATING = re.compile(r"(Addmm|Mm|Bmm|Dot|\w*Norm|Cdist|Pdist|Sqrt|Cosine\w*|Embedding)Backward")
"""Nodes of losses that relate outputs to each other: what they take is no prediction."""
_COMPARING = re.compile(
    r"(\w*Loss\w*|BinaryCrossEntropy\w*|KlDiv|Sub|Rsub|Gather|Index|\w*Margin\w*)Backward"
)
"""Nodes of losses that compare a prediction with a target; a penalty has none."""
_ENDING = frozenset({"log_softmax", "softmax", "sigmoid", "logsigmoid", "tanh"})


@rule("PTR201", "dropout-of-everything", "warning")
def everything(evidence: Evidence) -> Iterator[Found]:
    """Dropout with probability 1.

    Nothing gets through in training, so what lies before learns nothing; in eval mode it is
    switched on, with the weights it began with, and adds noise to every prediction.

    The masks of the training forward are drawn again, and what they kept is counted. A dropout by
    hand that drops everything because its rate is no probability is PTR212. A probability of 0 is
    no dropout, and silent. Write a probability below 1, or leave the branch out in both modes.
    """
    for forward in evidence.training:
        for op in masked(forward):
            mask = op.mask
            if mask is None or mask.p < 1 or op.function not in DROPPING | HIDING:
                continue
            yield Found(
                message=f"{_named(op)} drops everything in training, and nothing in eval mode.",
                evidence=f"Of {mask.total:,} {mask.unit} its mask kept {mask.kept}: it ran with "
                "p = 1.",
                fix="nn.Dropout(0.5)  # the probability of being dropped, below 1",
                module=op.module, place=evidence.line(forward, op),
            )  # fmt: skip


@rule("PTR202", "keep-probability-as-p", "warning")
def keeping(evidence: Evidence) -> Iterator[Found]:
    """A probability of keeping, passed as the probability of dropping.

    PyTorch's `p` is the share that is dropped. With a share of 0.9 meant to be kept, nine of ten
    activations are lost in training, and much of what the loss sees is noise.

    The forward is played in eval mode with only these dropouts on, at their rates and at 1 - p,
    and the share of the output that survives is measured. It is advice where two thirds of the
    output's variance are still signal: a wide, redundant layer may bear 0.8. Dropping what the
    model is given, as denoising and masked autoencoders do, is meant. Write `nn.Dropout(1 - keep)`.
    """
    told = {(each.capture, op): each for each in evidence.all(Survival) for op in each.ops}
    for forward in evidence.training:
        for op in masked(forward):
            survival = told.get((forward.capture.id, op.index))
            if survival is None or op.mask is None or not layers(forward, op):
                continue
            lost = survival.share < min(_MOSTLY, survival.opposite)
            yield Found(
                message=f"{_named(op)} drops {op.mask.p:.0%} of hidden activations: a probability "
                "of keeping was probably passed as p.",
                evidence=f"With such dropouts on, {survival.share:.1%} of the output's variance is "
                f"signal; with 1 - p = {1 - op.mask.p:.2g} it is {survival.opposite:.1%}. "
                f"{op.mask.kept:,} of {op.mask.total:,} {op.mask.unit} were kept.",
                fix=f"nn.Dropout({1 - op.mask.p:.2g})", module=op.module,
                place=evidence.line(forward, op), severity="warning" if lost else "advice",
            )  # fmt: skip


@rule("PTR203", "dropout-twice", "warning")
def twice(evidence: Evidence) -> Iterator[Found]:
    """Dropout twice on the same activation.

    The rates add up: what gets through is (1 - p)(1 - q), so that two dropouts of 0.5 drop three
    of four, and whoever tunes one rate does not know of the other.

    In the training forward the output of one dropout of elements is followed, past views, copies
    and ReLUs, to another dropout of elements, with no other reader. Stochastic depth, which drops
    rows, after a dropout of elements is meant; so is one layer that is used in two places. Keep
    one of the two.
    """
    for forward in evidence.training:
        for op in masked(forward):
            second = op.mask
            if not _drops_elements(op) or second is None:
                continue
            before = source(forward, op, 0, frozenset(BENDING))
            if before is None or not _drops_elements(before) or before.mask is None:
                continue
            readers = takers(forward, before, frozenset(BENDING))
            if not all(_drops_elements(each) for each in readers):
                continue
            left = (1 - before.mask.p) * (1 - second.p)
            yield Found(
                message=f"{_named(op)} drops what {_named(before)} has dropped already.",
                evidence=f"p = {before.mask.p:g}, then p = {second.p:g} on the same "
                f"{second.total:,} elements: {left:.0%} get through, with either alone "
                f"{1 - before.mask.p:.0%} or {1 - second.p:.0%}.",
                fix="h = self.drop(h)  # one dropout, not two", module=op.module,
                place=evidence.line(forward, op),
            )  # fmt: skip


@rule("PTR204", "dropout-on-the-output", "warning")
def output(evidence: Evidence) -> Iterator[Found]:
    """Dropout on the model's output.

    A logit or a predicted value that is set to 0 is a wrong prediction, not a hidden unit less:
    the loss punishes it, and the others are trained to be too small.

    In the training forward the op that made the output is a dropout, and nothing else of the model
    uses what it took or gave; and the graph of the loss shows that they are compared with a target
    without anything learned between. Features that another module uses, that a contrastive loss
    relates to each other, or that are only penalised, are no predictions. Put the dropout before
    the last layer.
    """
    direct = {
        (used.calls, used.output)
        for used in evidence.all(Used)
        if not used.learned
        and any(map(_COMPARING.match, used.functions))
        and not any(map(_RELATING.match, used.functions))
    }
    for forward in evidence.training:
        ends = [
            source(forward, op, 0, _ENDING) for op in forward.ops if _LOSSES.fullmatch(op.function)
        ]
        outputs, made = forward.capture.outputs, forward.capture.returned
        if forward.calls is not None and len(outputs) == len(made):
            for (path, _), index in zip(outputs, made, strict=True):
                if (forward.calls.id, path) in direct:
                    ends.append(_end(forward, forward.ops[index]))
        for op in dict.fromkeys(each for each in ends if each is not None):
            mask = op.mask
            if mask is None or mask.unit not in ("elements", "channels") or not 0 < mask.p < 1:
                continue
            before = source(forward, op)
            if op.function in HIDING or not layers(forward, op) or before is None:
                continue
            if len(takers(forward, before)) > 1 or len(takers(forward, op)) > 1:
                continue
            yield Found(
                message=f"{_named(op)} drops the output itself, right before the loss.",
                evidence=f"{mask.total - mask.kept:,} of {mask.total:,} output values were set to "
                f"0 in training (p = {mask.p:g}), and the loss read them.",
                fix="return self.out(self.drop(x))  # before the last layer, not after it",
                module=op.module, place=evidence.line(forward, op),
            )  # fmt: skip


@rule("PTR206", "one-layer-rnn-dropout", "warning")
def one_layer(evidence: Evidence) -> Iterator[Found]:
    """The dropout of a recurrent layer that has one layer only.

    `dropout=` of `nn.LSTM`, `nn.GRU` and `nn.RNN` drops between stacked layers: with one layer it
    does nothing, and the model trains without the regularisation its author counts on.

    The arguments that the recurrent op ran with in training are read, and whether it drew random
    numbers. Two layers and more are fine, and so is a dropout of 0. Write `nn.Dropout` after it.
    """
    for forward in evidence.training:
        for op in forward.ops:
            rate = number(op, "dropout")
            if op.function in RECURRENT and rate and argument(op, "training") == "True":
                if argument(op, "num_layers") != "1" or op.random:
                    continue
                yield Found(
                    message=f"The dropout of {_named(op)} does nothing: it has one layer.",
                    evidence=f"`{op.function}` ran in training with num_layers = 1 and dropout = "
                    f"{rate:g}, and drew no random number.",
                    fix=f"self.drop = nn.Dropout({rate:g})  # in __init__; or num_layers=2\n"
                    "output = self.drop(output)",
                    module=op.module, place=evidence.line(forward, op),
                )  # fmt: skip


@rule("PTR208", "dropout-never-called", "warning")
def idle(evidence: Evidence) -> Iterator[Found]:
    """A dropout layer that is never called.

    The model trains without the dropout that its constructor promises.

    Every forward of the loop is watched until each dropout layer has been called. What is found is
    a layer with p > 0 whose owner ran and whose owner's code names it nowhere but in the
    constructor; where it is named, an option may leave it out, and where an installed package wrote
    the owner, its user cannot call it: a note. Found is also a functional
    dropout that ran with `training=False` in a module in train mode: advice, unless no training
    forward drew a random number at all. A layer whose rate an attention kernel got, or that belongs
    to an expert without work, is silent. Call it, or remove it.
    """
    yield from _off(evidence)
    for each in evidence.all(Idle):
        owner = each.path.rpartition(".")[0]
        if _rate_used(evidence, each, owner):
            continue
        part = evidence.part(each.model, each.path)
        place = None if part is None else part.made
        yield Found(
            message=f"`{each.path}` is never called: the model trains without this dropout.",
            evidence=f"In {each.calls:,} training forwards its owner ran and it did not "
            f"(p = {each.p:g}).",
            fix=f"x = {reached(each.path.rpartition('.')[2])}(x)  # in forward", module=each.path,
            place=place or _trained_at(evidence, each.model),
            severity="warning" if each.own and not each.named else "note",
        )  # fmt: skip


@rule("PTR213", "rate-changed-in-training", "note")
def changed(evidence: Evidence) -> Iterator[Found]:
    """A dropout rate that changes while the model trains.

    Losses before and after the change are not of the same model: a step in the curve is the rate's.

    The rates of all dropout layers are read at each forward of the loop that is trained on. A
    schedule is meant; this is only a note. Mark the change in what you plot.
    """
    for each in evidence.all(DropRate):
        yield Found(
            message=f"The rate of `{each.path}` changed while the model trained.",
            evidence=f"p was {each.first:g} at first and {each.last:g} at last: {each.changes} "
            f"changes, the first after {each.step:,} optimizer steps.",
            fix=f'log("p", {reached(each.path)}.p)  # beside the loss', module=each.path,
            place=_trained_at(evidence, each.model),
        )  # fmt: skip


def _off(evidence: Evidence) -> Iterator[Found]:
    """Yield what a functional dropout that is told not to drop while it trains amounts to."""
    never = not any(calls.drew for calls in evidence.trained)
    for forward in evidence.training:
        for op in forward.ops if forward.calls is not None else ():
            off = "False" in (argument(op, "training"), argument(op, "train"))
            rate = number(op, "p")
            if forward.calls is not None and op.module in forward.calls.fixed:
                continue  # of a recorded graph the mode is PTR106's
            if op.function in DROPPING and off and op.training and rate:
                yield Found(
                    message=f"`{op.function}` in {forward.name(op.module)} never drops: it is "
                    "told that it does not train.",
                    evidence=f"In a training forward it ran with p = {rate:g} and training=False, "
                    "its module in train mode.",
                    fix=f"F.dropout(x, {rate:g}, training=self.training)", module=op.module,
                    place=op.called, severity="warning" if never else "advice",
                )  # fmt: skip


def _named(op: Op) -> str:
    return f"`{op.module}`" if op.module else f"`{op.function}`"


def _drops_elements(op: Op) -> bool:
    mask: Mask | None = op.mask
    return (
        mask is not None and mask.unit == "elements" and 0 < mask.p < 1
        and op.function not in HIDING
    )  # fmt: skip


def _end(forward: Traced, op: Op) -> Op | None:
    """Return the op that made an output, past what only bends or reshapes it."""
    if op.mask is not None:
        return op
    reshaped = op.view or op.function in _ENDING | {"div", "mul", "reshape", "flatten", "squeeze"}
    return source(forward, op, 0, _ENDING) if reshaped and len(op.inputs) == 1 else op


def _rate_used(evidence: Evidence, idle: Idle, owner: str) -> bool:
    """Tell whether an op inside the layer's owner ran with its rate."""
    for forward in evidence.training:
        for op in forward.ops if forward.capture.model == idle.model else ():
            inside = not owner or op.module == owner or op.module.startswith(f"{owner}.")
            if inside and number(op, "dropout_p", "p", "dropout") == idle.p:
                return True
    return False


def _trained_at(evidence: Evidence, model: int) -> Place | None:
    return next((calls.place for calls in evidence.trained if calls.model == model), None)
