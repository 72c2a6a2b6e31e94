"""Units of ReLU-like activations that give 0 for every row, counted while a forward runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pipetrace.parts import Units
from pipetrace.training.tallies import read

RECTIFIERS = frozenset({"relu", "relu_", "relu6", "hardtanh", "hardtanh_", "threshold",
                        "threshold_", "_threshold", "clamp_min", "clamp_min_"})  # fmt: skip
"""Functions that give exactly 0 for whole ranges of their input, with a gradient of 0."""


class Rectified(TorchFunctionMode):
    """Counts dead units: those that gave 0 for every row and place.

    Units are channels (dimension 1) after a convolution, and features (the last) after a product.
    """

    def __init__(self) -> None:
        super().__init__()
        self._convolved = False
        self._dead: list[torch.Tensor] = []
        self._seen: list[tuple[str, int]] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and look at what an activation gives."""
        output = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if name in RECTIFIERS:
            self._count(name, output)
        elif name.startswith("conv"):
            self._convolved = True
        elif name in ("linear", "matmul", "addmm", "mm", "bmm", "baddbmm", "__matmul__"):
            self._convolved = False
        return output

    def _count(self, name: str, output: Any) -> None:
        if not isinstance(output, torch.Tensor) or output.dim() < 2:
            self._seen.append((name, 0))
            self._dead.append(torch.zeros(()))
            return
        unit = 1 if self._convolved else output.dim() - 1
        others = tuple(dim for dim in range(output.dim()) if dim != unit)
        self._dead.append((output == 0).all(dim=others).sum())
        self._seen.append((name, output.shape[unit]))

    def units(self, paths: Sequence[str], rows: int) -> tuple[Units, ...]:
        """Return what was counted; by the paths of a forward that called as many, else by number.

        Args:
            paths: The module of each call.
            rows: Rows of the forward.
        """
        if len(paths) != len(self._seen):
            paths = [f"call {number}" for number, _ in enumerate(self._seen, 1)]
        counts = read(self._dead)
        return tuple(
            Units(path=path, function=name, dead=int(dead), units=units, rows=rows)
            for path, (name, units), dead in zip(paths, self._seen, counts, strict=True)
            if units
        )
