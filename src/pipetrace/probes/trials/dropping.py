"""Dropout in a training forward is played otherwise: at its mean, on a copy, at another rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from pipetrace.capture import names, replay, trees
from pipetrace.capture.altered import Change, spot
from pipetrace.capture.switched import DROPPING, turned
from pipetrace.probes.trials.altering import altered, apart, flat
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact, Op
from pipetrace.tried import Aliased, Scaling, Survival

_DROPPING = DROPPING | {"alpha_dropout", "alpha_dropout_", "feature_alpha_dropout",
                        "feature_alpha_dropout_"}  # fmt: skip
"""PyTorch's functions that drop what they are given."""
_HIDING = {"scaled_dot_product_attention", "lstm", "gru", "rnn_tanh", "rnn_relu"}
_MODULES = 4
_EQUAL = 1e-3
_HIGH = 0.8
"""A probability from here on may be one of keeping."""
_DRAWS = 6
_SEED = 20_261_100


def scaling(subject: Subject) -> Iterable[Fact]:
    """Put the mean of a hand-written mask in its place: the forward then equals that in eval mode.

    Only the modules that such masks are in are in train mode: all together at first, and one after
    the other where something is not equal.
    """
    wanted = [op for op in subject.ops if _by_hand(op)] if subject.kind.trained else []
    named = dict(subject.model.named_modules()) if wanted else {}
    modules = {op.module: named[op.module] for op in wanted if op.module in named}
    if not modules:
        return
    still = replay.play(subject.call, False)
    if apart(replay.play(subject.call, False, seed=_SEED), still) != 0:
        # What is random in eval mode too has no mean that could be compared.
        return
    together = _AtMean(subject, list(modules.values()), still)
    if together.known and together.gap() < _EQUAL:
        return
    for path, module in list(modules.items())[:_MODULES]:
        yield from _scaled(subject, path, _AtMean(subject, [module], still))


class _AtMean:
    """A forward with some modules in train mode, all others in eval mode, and masks at their mean.

    Attributes:
        ops: Its ops.
        known: Whether every mask in it is known.
    """

    def __init__(self, subject: Subject, modules: Sequence[nn.Module], still: Any) -> None:
        self._call, self._still = subject.call, still
        self._modes = [
            inside.module in modules if inside.registered else inside.training
            for inside in subject.call.snapshot.insides
        ]
        played = replay.replay(subject.call, id=-1, model_id=-1, purpose="trial", compare=False,
                               modes=self._modes, values=False)  # fmt: skip
        self.ops = [fact for fact in played.facts if isinstance(fact, Op)]
        self._means: dict[int, Change] = {}
        for op in self.ops:
            if op.mask is not None and op.function in _DROPPING:
                self._means[op.index] = _given
            elif op.mask is not None and op.function not in _HIDING:
                self._means[op.index] = _mean(op, self.ops)
        self.known = not any(
            op.mask_missing or (op.mask is not None and op.function in _HIDING) for op in self.ops
        )

    def gap(self, scaled: Sequence[Op] = (), factor: float = 1.0) -> float:
        """Return how far its output is from that in eval mode, where some masks get a factor."""
        other = {op.index: _mean(op, self.ops, factor) for op in scaled}
        changes = {spot(self.ops, index): made for index, made in {**self._means, **other}.items()}
        found = apart(altered(self._call, changes, self._modes), self._still)
        return math.inf if found is None else found


def _scaled(subject: Subject, path: str, mean: _AtMean) -> Iterator[Scaling]:
    """State what the masks of one module lack, if anything."""
    # In the training forward the same ops have other indices: there are those of other modules.
    own, twins = ([op for op in some if op.module == path and _by_hand(op)]
                  for some in (mean.ops, subject.ops))  # fmt: skip
    first = mean.gap()
    if not mean.known or first < _EQUAL or first == math.inf or len(twins) != len(own):
        return
    for op, twin in zip(own, twins, strict=True):
        assert op.mask is not None
        keep = 1 - op.mask.p
        tried = [
            (mean.gap(some, factor), factor)
            for factor in (1 / keep, op.mask.p / keep, keep)
            for some in ([op], own)[: len(own)]
        ]
        scaled, factor = min(tried)
        if scaled < first:
            yield Scaling(capture=subject.capture.id, op=twin.index, p=op.mask.p, apart=first,
                          factor=factor, scaled=scaled)  # fmt: skip


def _by_hand(op: Op) -> bool:
    """Tell a mask that no function of PyTorch's drew for the program."""
    mask = op.mask
    hand = op.function not in _DROPPING | _HIDING
    return hand and mask is not None and 0 < mask.p < 1 and mask.unit != "batches"


def _given(plan: names.Plan, func: Any, args: Any, kwargs: Any) -> Any:
    """Let pass what a dropout was given: its mean."""
    return trees.tensors(args)[0] if trees.tensors(args) else trees.tensors(kwargs)[0]


def _mean(op: Op, ops: Sequence[Op], factor: float = 1.0) -> Change:
    """Return what gives the mean over all masks of what an op gives, times a factor."""
    place = data(op, ops)
    assert op.mask is not None
    keep = 1 - op.mask.p

    def change(plan: names.Plan, func: Any, args: Any, kwargs: Any) -> Any:
        entered = [*trees.tensors(args), *trees.tensors(kwargs)][place].clone()
        output = func(*args, **kwargs)
        made = trees.tensors(args)[0] if plan.inplace else output
        ratios = (made / entered)[(made != 0) & (entered != 0)]
        scale = float(ratios.median()) if ratios.numel() else 1.0
        mean = entered * (keep * scale * factor)
        if not plan.inplace:
            return mean
        made.copy_(mean)
        return output

    return change


def data(op: Op, ops: Sequence[Op]) -> int:
    """Return which input of an op in which a mask met data is the data: the one nobody drew."""
    shape = op.outputs[0].shape
    for place, (link, given) in enumerate(zip(op.inputs, op.input_shapes, strict=True)):
        if given == shape and not _drawn(link.index, ops):
            return place
    return 0


def _drawn(index: int | None, ops: Sequence[Op], depth: int = 6) -> bool:
    """Tell whether an op's output comes from random numbers only a few ops before it."""
    if index is None or not depth:
        return False
    op = ops[index]
    if op.random and op.function not in _DROPPING:
        return True
    masked = op.outputs and op.mask is not None
    return (
        not masked
        and all(_drawn(link.index, ops, depth - 1) for link in op.inputs)
        and bool(op.inputs)
    )


def aliasing(subject: Subject) -> Iterable[Fact]:
    """Let a dropout that writes into its input write into a copy: with the same mask.

    Only where what it returns is read too: else it stands as a statement of its own.
    """
    writing = [op for op in subject.ops if _writes(op)] if subject.kind.trained else []
    if not writing:
        return
    plain = replay.play(subject.call)
    for op in writing[:_MODULES]:
        changes: dict[tuple[str, int], Change] = {spot(subject.ops, op.index): _on_a_copy}
        gap = apart(altered(subject.call, changes), plain)
        if gap and _returned(subject, op):
            yield Aliased(capture=subject.capture.id, op=op.index, apart=gap)


def _writes(op: Op) -> bool:
    if op.function not in _DROPPING or op.mask is None or not 0 < op.mask.p <= 1:
        return False
    told = {each.name: each.value for each in op.arguments}
    return op.function.endswith("_") or told.get("inplace") == "True"


def _returned(subject: Subject, op: Op) -> bool:
    """Tell whether what a dropout returns is read: whatever it were, NaN would reach the output."""
    output = flat(altered(subject.call, {spot(subject.ops, op.index): _without_number}))
    return output is not None and bool(output.isnan().any())


def _without_number(plan: names.Plan, func: Any, args: Any, kwargs: Any) -> Any:
    return torch.full_like(func(*args, **kwargs), torch.nan)


def _on_a_copy(plan: names.Plan, func: Any, args: Any, kwargs: Any) -> Any:
    if args:
        return func(args[0].clone(), *args[1:], **kwargs)
    return func(**{**kwargs, "input": kwargs["input"].clone()})


def survival(subject: Subject) -> Iterable[Fact]:
    """Let the dropouts of a high rate drop, and nothing else: at their rates, and at 1 - p."""
    ops = [
        op for op in subject.ops
        if op.mask is not None and _HIGH <= op.mask.p < 1 and op.function in _DROPPING | _HIDING
    ] if subject.kind.trained else []  # fmt: skip
    if not ops:
        return
    still = flat(replay.play(subject.call, False))
    rows = subject.capture.rows
    if still is None or not rows or still.numel() % rows:
        return
    rates = {spot(subject.ops, op.index): op.mask.p for op in ops if op.mask is not None}
    shares = [_share(subject, still, rows, rates, opposite) for opposite in (False, True)]
    if shares[0] is not None and shares[1] is not None:
        yield Survival(capture=subject.capture.id, ops=tuple(op.index for op in ops),
                       p=max(rates.values()), share=shares[0], opposite=shares[1])  # fmt: skip


def _share(
    subject: Subject, still: torch.Tensor, rows: int, rates: dict[tuple[str, int], float],
    opposite: bool,
) -> float | None:  # fmt: skip
    def at(p: float) -> Change:
        def change(plan: names.Plan, func: Any, args: Any, kwargs: Any) -> Any:
            args, kwargs = turned(plan, args, kwargs, 1 - p if opposite else p, True)
            return func(*args, **kwargs)

        return change

    changes = {where: at(p) for where, p in rates.items()}
    noise = 0.0
    for draw in range(_DRAWS):
        made = flat(altered(subject.call, changes, False, seed=_SEED + draw))
        if made is None or made.shape != still.shape:
            return None
        noise += float((made - still).square().mean()) / _DRAWS
    table = still.reshape(rows, -1)
    table = table - table.mean(0) if rows > 1 else table
    signal = float(table.square().mean())
    return signal / (signal + noise) if signal + noise > 0 else None
