"""Batch normalisation that follows the batch, or moves, where it should stand still."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced, reached
from pipetrace.checks.findings import Found
from pipetrace.checks.parameters import module
from pipetrace.checks.registry import rule
from pipetrace.observed import Norm
from pipetrace.records import Op
from pipetrace.tried import Company

_APART = 1e-4
_FEW = 2
_SHIFT = 1e-6


@rule("PTR401", "batch-statistics-in-eval", "warning")
def in_eval(evidence: Evidence) -> Iterator[Found]:
    """Batch norm that uses the batch's statistics in eval mode.

    A prediction depends on which other rows are in its batch: it changes with the batch size, and
    of a row alone it is meaningless.

    Where batch norm in eval mode asked the batch, or a deviation was taken over all rows, the
    forward is played again on half of it: the same rows come out otherwise. Instance and group norm
    look at one row only; the rows of a graph that is given whole at every step are no samples;
    batch norm that was left in train mode is a matter of the mode. Keep `track_running_stats=True`.
    """
    for each in evidence.all(Company):
        forward = next((f for f in evidence.forwards if f.capture.id == each.capture), None)
        if forward is None or each.apart < _APART or _whole(forward):
            continue
        for op in (forward.ops[index] for index in each.ops if index < len(forward.ops)):
            yield Found(
                message=f"`{op.module or op.function}` normalises with the batch in eval mode: a "
                "prediction depends on the other rows.",
                evidence=f"The outputs of {each.rows} rows alone are {each.apart:.1%} away from "
                "those of the same rows in the whole batch.",
                fix="nn.BatchNorm1d(features)  # track_running_stats=True, as it is unless told",
                module=op.module, place=evidence.line(forward, op),
            )  # fmt: skip


def _whole(forward: Traced) -> bool:
    """Tell whether the loop evaluates the model on the very input that it was called with before.

    Nodes of one graph are given whole; a batch that goes through twice in training is no graph.
    """
    here = forward.calls
    return here is not None and here.repeated == here.count


@rule("PTR402", "sampling-moves-batch-norm", "warning")
def sampling(evidence: Evidence) -> Iterator[Found]:
    """Monte Carlo dropout by `model.train()`, with batch norm inside.

    `train()` switches on more than dropout: batch norm normalises with the batch to predict, and
    every sample moves its running statistics, so that predicting changes the model.

    In the loop the same batch goes again and again through the model in train mode, without a
    backward, draws random numbers, and batch norm counts each time. Dropout layers alone in train
    mode are silent, and so is a pass over other batches that renews running statistics. Write
    `model.eval()`, and `train()` for the dropout layers only.
    """
    for calls in evidence.evaluated:
        again = calls.repeated >= max(1, calls.count // 2)
        if not calls.training or not again or not calls.drew:
            continue
        forward = evidence.forward(calls)
        norms = [] if forward is None else _moving(forward, calls.moved)
        if norms:
            yield Found(
                message=f"`{norms[0].module}` moves while the model is asked to predict: "
                "`train()` for dropout switches batch norm too.",
                evidence=f"{calls.count} forwards in train mode without a backward, "
                f"{calls.repeated} of them with the batch of the one before; {len(norms)} batch "
                "norms used the batch and counted it.",
                fix="model.eval()\nfor m in model.modules():\n    if isinstance(m, nn.Dropout):\n"
                "        m.train()",
                module=norms[0].module, place=calls.place,
            )  # fmt: skip


@rule("PTR403", "frozen-batch-norm-moves", "warning")
def thawed(evidence: Evidence) -> Iterator[Found]:
    """Frozen batch norm whose running statistics move.

    `requires_grad_(False)` freezes weights, not running statistics; and `eval()` is undone by the
    next `model.train()`. The features of a backbone that should stand still drift away.

    In forwards that were trained on, batch norm whose weight and bias want no gradient, or that was
    handed over in eval mode within a model in train mode, was in train mode, and its running mean
    moved. One that is in eval mode there is frozen indeed; one whose weights train at another time,
    or are changed by hand as a teacher's, is not meant to be. Override `train` so that it calls
    `eval()` on it.
    """
    for each in evidence.all(Norm):
        woken = each.asleep and each.slept == 0
        if each.shift < _SHIFT or not (woken or (each.frozen and not each.free)):
            continue
        followed = {module(weight) for weight in evidence.wired[each.model] if weight.moved}
        # The average of another layer, a teacher's in train mode, is not frozen.
        if not woken and each.path in followed:
            continue
        place = next((c.place for c in evidence.trained if c.model == each.model), None)
        yield Found(
            message=f"`{each.path}` is frozen, yet its running statistics move in training.",
            evidence=f"In {each.frozen + each.free:,} training forwards it was in train mode, "
            f"{'handed over in eval mode' if woken else 'its weights without a gradient'}; its "
            f"running mean moved by up to {each.shift:.3g} standard deviations.",
            fix="def train(self, mode=True):\n    super().train(mode)\n"
            f"    {reached(each.path)}.eval()\n    return self",
            module=each.path, place=place,
        )  # fmt: skip


@rule("PTR404", "buffers-move-in-eval", "advice")
def buffers(evidence: Evidence) -> Iterator[Found]:
    """Buffers that move in evaluation.

    What is measured depends on how often it was measured before, and a saved model on its last
    evaluation.

    The buffers of the model are compared before and after each forward that has no gradient and
    every module in eval mode. Self-normalising models, caches and counters do so on purpose: it is
    advice. Write `if self.training:` around the update.
    """
    for calls in evidence.evaluated:
        if calls.training or calls.odd_count or calls.graph or not calls.moved:
            continue
        yield Found(
            message=f"`{calls.moved[0]}` changes in eval mode.",
            evidence=f"In {calls.count} forwards without a gradient and with every module in eval "
            f"mode, {len(calls.moved)} buffers were written to: {', '.join(calls.moved[:3])}.",
            fix="if self.training:\n    self.running.lerp_(x.mean(0), 0.1)",
            module=calls.moved[0].rpartition(".")[0], place=calls.place,
        )  # fmt: skip


@rule("PTR405", "batch-norm-of-two", "warning")
def of_two(evidence: Evidence) -> Iterator[Found]:
    """Batch norm trained on two values per channel.

    Two values normalised by their own mean and deviation are -1 and 1, whatever they were: the
    layer passes on which was larger, and nothing else.

    In the training forward the values of each channel that batch norm took are counted, from the
    shapes that it ran with and the rows of every other forward. A last batch that is small is
    advice, and so is a model that is called once, alone. Use larger batches, `drop_last=True`, or
    group norm.
    """
    for forward in evidence.training:
        for op in forward.ops:
            if op.function != "batch_norm" or not _of_the_batch(op) or not op.input_shapes:
                continue
            shape = op.input_shapes[0]
            rows, each = shape[0], math.prod(shape[2:])
            made = forward.calls.rows if forward.calls and forward.capture.rows == rows else ()
            batches = made or (rows,)
            few = sum(number * each <= _FEW for number in batches)
            if few:
                yield Found(
                    message=f"`{op.module or op.function}` normalises {_FEW} values per channel.",
                    evidence=f"{few} of {len(batches)} training forwards gave it at most {_FEW} "
                    f"values per channel ({min(batches)} rows of {each}).",
                    fix="DataLoader(data, batch_size=32, drop_last=True)  # or nn.GroupNorm",
                    module=op.module, place=op.called,
                    severity="" if 2 * few >= len(batches) and evidence.trains() else "advice",
                )  # fmt: skip


def _of_the_batch(op: Op) -> bool:
    return any(each.name == "training" and each.value == "True" for each in op.arguments)


def _moving(forward: Traced, moved: tuple[str, ...]) -> list[Op]:
    """Return the batch norms that used the batch, and some of whose buffers moved."""
    owners = {name.rpartition(".")[0] for name in moved}
    return [
        op for op in forward.ops
        if op.function == "batch_norm" and _of_the_batch(op) and op.module in owners
    ]  # fmt: skip
