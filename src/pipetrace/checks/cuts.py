"""Where a training forward cuts parameters that should learn off from the loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod

from pipetrace.checks.evidence import Evidence, Traced
from pipetrace.checks.parameters import takes
from pipetrace.observed import Wired
from pipetrace.records import Op

_ZERO = {"round", "round_", "floor", "floor_", "ceil", "ceil_", "trunc", "trunc_", "fix", "sign",
         "sign_", "sgn", "sgn_"}  # fmt: skip
"""PyTorch's functions whose derivative is 0 wherever they have one."""
_INTEGERS = ("int", "uint", "bool")
_OUTSIDE = ("constant", "unseen")
_MAKING = {"tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "from_dlpack"}
"""PyTorch's functions that make a tensor of numbers."""


def starved(evidence: Evidence, weight: Wired) -> bool:
    """Tell whether a parameter should learn and never gets a gradient, or only zeros."""
    owned = weight.registered and evidence.steps(weight) and weight.wanted == weight.steps >= 2
    nothing = not weight.reached and weight.given in (0, weight.steps)
    return owned and nothing and not weight.twin and weight.moved is False


def cuts(evidence: Evidence) -> Iterator[tuple[Op, list[Wired]]]:
    """Yield the ops behind which starved parameters are cut off, though what they made goes on."""
    for model, weights in evidence.wired.items():
        learning = {weight.path for weight in weights if weight.reached and weight.moved}
        waiting = [weight for weight in weights if starved(evidence, weight)]
        for forward in evidence.forwards if learning else ():
            if forward.capture.model != model or not (forward.calls and forward.calls.trained):
                continue
            found: dict[int, list[Wired]] = defaultdict(list)
            for weight in waiting:
                cut = _cut(forward, weight, learning)
                if cut is not None:
                    found[cut.index].append(weight)
            waiting = [each for each in waiting if not any(each in g for g in found.values())]
            yield from _merged(forward, found)


def alone(op: Op, weights: list[Wired]) -> bool:
    """Tell whether the op that takes these parameters ran without autograd itself."""
    return op.cut == "no_grad" and takes(op, {weight.path for weight in weights})


def _merged(
    forward: Traced, found: dict[int, list[Wired]]
) -> Iterator[tuple[Op, list[Wired]]]:  # fmt: skip
    """Yield cuts; under one `no_grad` every op cuts off its own parameters: that is one."""
    together: list[Wired] = []
    first: Op | None = None
    for index, weights in sorted(found.items()):
        op = forward.ops[index]
        if alone(op, weights):
            first = first or op
            together += weights
        else:
            yield op, weights
    if first is not None:
        yield first, together


def _cut(forward: Traced, weight: Wired, learning: set[str]) -> Op | None:
    """Return the first op behind which a parameter's values are out of the graph, or stand still.

    An op that makes integers is one where no other is: it often stands beside the path. Last comes
    an op whose numbers left PyTorch without a word, as `tolist` lets them.
    """
    after = forward.after(forward.using({weight.path}))
    learns = forward.using(learning)
    if weight.given:
        return next((op for op in after if op.function in _ZERO and _on(forward, op, learns)), None)
    cut = (op for op in after if op.cut)
    counts = (op for op in after if _whole_numbers(op))
    for op in (*cut, *counts):
        if _on(forward, op, learns) or _back(forward, op, learns):
            return op
    return next((op for op in after if _back(forward, op, learns, alike=True)), None)


def _on(forward: Traced, op: Op, learns: list[Op]) -> bool:
    """Tell whether what an op made goes on into what learns."""
    behind = {each.index for each in forward.after([op])} - {op.index}
    return any(each.index in behind for each in learns)


def _back(forward: Traced, op: Op, learns: list[Op], alike: bool = False) -> bool:
    """Tell whether numbers that no op took come back from outside, and go into what learns.

    Args:
        forward: The forward.
        op: What made them.
        learns: The ops of what learns.
        alike: Whether as many must come back.
    """
    if forward.users.get(op.index) or op.index in forward.capture.returned:
        return False
    back = [
        each for each in forward.ops
        if each.index > op.index and _from_outside(each) and (not alike or _size(each) == _size(op))
    ]  # fmt: skip
    return any(learn in forward.after([each]) for each in back for learn in learns)


def _from_outside(op: Op) -> bool:
    return op.function in _MAKING or any(link.source in _OUTSIDE for link in op.inputs)


def _size(op: Op) -> int:
    return prod(op.outputs[0].shape) if op.outputs else 0


def _whole_numbers(op: Op) -> bool:
    return bool(op.outputs) and op.outputs[0].dtype.startswith(_INTEGERS)
