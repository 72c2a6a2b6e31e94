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
        given: The forward's inputs.
    """

    def __init__(self, capture: int, given: Iterable[torch.Tensor] = ()) -> None:
        self._capture = capture
        self._sound = all(map(finite, given))
        self._bad: set[int] = set()
        """Ops whose output was not finite."""
        self._found: dict[str, NotFinite] = {}

    def examine(self, op: Heard, given: Sequence[torch.Tensor], made: list[torch.Tensor],
                index: int) -> None:  # fmt: skip
        """Look at what an op was given and has made."""
        if "nan" in self._found or all(map(finite, made)):
            return
        self._bad.add(index)
        nans = sum(int(tensor.isnan().sum()) for tensor in made)
        total = sum(tensor.numel() for tensor in made)
        infinities = sum(int(tensor.isinf().sum()) for tensor in made)
        kind = "nan" if nans else "infinity"
        if kind in self._found or not self._took_none(op, given, made) or (
            not nans and _wanted(op)
        ):  # fmt: skip
            return
        self._found[kind] = NotFinite(capture=self._capture, op=index, nans=nans,
                                      infinities=infinities, total=total)  # fmt: skip

    def _took_none(
        self, op: Heard, given: Sequence[torch.Tensor], made: Sequence[torch.Tensor]
    ) -> bool:  # fmt: skip
        """Tell whether all that an op was given was finite."""
        # What it has written to tells no more what it held: where it comes from does.
        written = set() if op.view else {id(tensor) for tensor in made}
        for link, tensor in zip(op.links, given, strict=True):
            if link.index is not None and id(tensor) in written:
                if link.index in self._bad:
                    return False
            elif not (self._sound if id(tensor) in written else finite(tensor)):
                return False
        return True

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
