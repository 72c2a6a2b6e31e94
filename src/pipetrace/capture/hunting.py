"""A forward is played once more to find the first op that makes a NaN or an infinity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from pipetrace.capture.tracer import Heard
from pipetrace.records import NotFinite, Op
from pipetrace.summarise import finite

_FILLING = {"masked_fill", "full", "full_like", "fill", "where", "scatter", "tensor", "new_full"}


class Hunt:
    """Looks at every element of every output, until a NaN comes of numbers that are finite.

    Args:
        capture: The id of the capture that was played before.
    """

    def __init__(self, capture: int) -> None:
        self._capture = capture
        self._found: dict[str, NotFinite] = {}

    def examine(self, op: Heard, given: Sequence[torch.Tensor], made: list[torch.Tensor],
                index: int) -> None:  # fmt: skip
        """Look at what an op was given and has made."""
        if "nan" in self._found or all(map(finite, made)):
            return
        nans = sum(int(tensor.isnan().sum()) for tensor in made)
        total = sum(tensor.numel() for tensor in made)
        infinities = sum(int(tensor.isinf().sum()) for tensor in made)
        kind = "nan" if nans else "infinity"
        written = {id(tensor) for tensor in made}
        sound = all(finite(tensor) for tensor in given if id(tensor) not in written)
        if kind in self._found or not sound or (not nans and _wanted(op)):
            return
        self._found[kind] = NotFinite(capture=self._capture, op=index, nans=nans,
                                      infinities=infinities, total=total)  # fmt: skip

    def found(self) -> list[NotFinite]:
        """Return the first NaN, else the first infinity."""
        first = self._found.get("nan") or self._found.get("infinity")
        return [] if first is None else [first]


def suspicious(ops: Iterable[Op], outputs: Iterable[torch.Tensor]) -> bool:
    """Tell whether a forward is worth hunting in: a sample or an output was not finite."""
    return any(tensor.nans or tensor.infinities for op in ops for tensor in op.outputs) or not all(
        map(finite, outputs)
    )


def _wanted(op: Heard) -> bool:
    """Tell whether the program asked for an infinity: a mask of a softmax is filled with one."""
    numbers = [value for _, value in op.told if isinstance(value, float)]
    return op.plan.name.removesuffix("_") in _FILLING or not all(map(math.isfinite, numbers))
