"""Output layers that are frozen while they still look as PyTorch made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipetrace.checks.evidence import Evidence, Traced
from pipetrace.checks.parameters import FRESH, module, takes
from pipetrace.observed import Wired
from pipetrace.records import Op

_LAYERS = ("linear", "conv", "norm", "embedding", "bilinear", "lstm", "gru", "rnn")
"""Parts of the names of PyTorch's functions that do a whole layer's work."""


class Output(NamedTuple):
    """A frozen layer that makes an output.

    Attributes:
        model: The model's id.
        path: The layer's path.
        weights: Its parameters.
        learning: How many parameters of the model learn.
        contradicts: Whether what was executed speaks against its being meant.
    """

    model: int
    path: str
    weights: list[Wired]
    learning: int
    contradicts: bool


def fresh_outputs(evidence: Evidence) -> Iterator[Output]:
    """Yield the output layers that are frozen and fresh, behind layers that learn."""
    for model, weights in evidence.wired.items():
        learning = [weight for weight in weights if weight.reached and weight.moved]
        seen: set[str] = set()
        for forward in evidence.forwards if learning else ():
            trained = forward.calls is not None and forward.calls.trained
            if forward.capture.model != model or not trained:
                continue
            for op in _last(forward):
                layer = [weight for weight in weights if takes(op, {weight.path})]
                path = module(layer[0])
                own = [weight for weight in weights if module(weight) == path]
                if path not in seen and _frozen(own) and _behind(forward, op, learning):
                    seen.add(path)
                    others = [w for w in weights if w not in own]
                    against = _contradicts(evidence, forward, model, path, others, learning)
                    yield Output(model, path, own, len(learning), against)


def fresh_end(forward: Traced, left: list[Wired], learning: list[Wired]) -> bool:
    """Tell whether layers that nobody moves are the end of a model whose whole beginning learns.

    Args:
        forward: A traced forward of their model.
        left: The parameters that get gradients and do not move.
        learning: Those that move.
    """
    tested = [weight.uniform for weight in left if weight.uniform is not None]
    first = forward.using({weight.path for weight in learning})
    last = forward.using({weight.path for weight in left})
    if not tested or min(tested) < FRESH or not first or not last:
        return False
    layers = all(any(name in op.function for name in _LAYERS) for op in first)
    return layers and first[-1].index < last[0].index


def _frozen(own: list[Wired]) -> bool:
    still = all(not weight.wanted and weight.moved is False for weight in own)
    tested = [weight.uniform for weight in own if weight.uniform is not None]
    return still and bool(tested) and min(tested) >= FRESH and own[0].steps > 0


def _last(forward: Traced) -> Iterator[Op]:
    """Yield the ops with parameters that are next to the outputs."""
    waiting = [forward.ops[index] for index in forward.capture.returned]
    seen: set[int] = set()
    while waiting:
        op = waiting.pop()
        if op.index not in seen:
            seen.add(op.index)
            if any(link.source == "parameter" for link in op.inputs):
                yield op
            else:
                waiting += forward.before(op)


def _behind(forward: Traced, op: Op, learning: list[Wired]) -> bool:
    """Tell whether what learns feeds an op."""
    fed = forward.after(forward.using({weight.path for weight in learning}))
    return op in fed


def _contradicts(
    evidence: Evidence, forward: Traced, model: int, path: str, others: list[Wired],
    learning: list[Wired],
) -> bool:  # fmt: skip
    still = [weight for weight in others if not weight.wanted and weight.moved is False]
    tested = [weight.uniform for weight in still if weight.uniform is not None]
    if not still:
        return False
    loaded = bool(tested) and sum(value < FRESH for value in tested) * 2 > len(tested)
    return loaded or _swapped(evidence, model, path) or _whole(forward, still, learning)


def _swapped(evidence: Evidence, model: int, path: str) -> bool:
    """Tell whether a layer was made in another function than the other layers beside it."""
    parent, _, _ = path.rpartition(".")
    head = evidence.part(model, path)
    modules = evidence.models[model].modules if model in evidence.models else ()
    beside = [
        part.made.function for part in modules
        if part.made and part.path != path and part.path and part.path.rpartition(".")[0] == parent
    ]  # fmt: skip
    made = head.made if head is not None else None
    return made is not None and bool(beside) and made.function not in beside


def _whole(forward: Traced, still: list[Wired], learning: list[Wired]) -> bool:
    """Tell whether what learns are layers as large as the frozen ones, and nothing was added."""
    size = max((min(w.shape[:2]) for w in still if len(w.shape) > 1), default=0)
    if any(len(w.shape) > 1 and min(w.shape[:2]) < size for w in learning):
        return False
    return all(
        any(name in op.function for name in _LAYERS)
        for op in forward.using({weight.path for weight in learning})
    )
