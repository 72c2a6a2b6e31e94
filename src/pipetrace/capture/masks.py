"""A dropout mask is regenerated: the same function, from the same RNG state, on ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from pipetrace.records import Mask
from pipetrace.summarise import ROW, pick

_ELEMENTS = {"dropout", "dropout_", "alpha_dropout", "alpha_dropout_"}
_CHANNELS = {
    "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "feature_dropout_",
    "feature_alpha_dropout", "feature_alpha_dropout_",
}  # fmt: skip


class Drop(NamedTuple):
    """How a dropout function was called."""

    input: torch.Tensor
    p: float
    training: bool


def drop(function: Callable[..., Any], name: str, arguments: dict[str, Any]) -> Drop | None:
    """Return how a dropout was called, or None for any other function.

    Args:
        function: The function that was called.
        name: Its plain name.
        arguments: Its arguments by name; those left out have their defaults.
    """
    if name not in _ELEMENTS | _CHANNELS:
        return None
    told = {**_defaults(function), **arguments}
    tensor = told.get("input")
    if not isinstance(tensor, torch.Tensor):
        return None
    # torch.dropout calls its mode `train`; torch.nn.functional.dropout calls it `training`.
    return Drop(tensor, float(told["p"]), bool(told.get("training", told.get("train"))))


@functools.cache
def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    if not inspect.isfunction(function):
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def regenerate(
    function: Callable[..., Any],
    name: str,
    call: Drop,
    state: torch.Tensor,
    *,
    row: int | None,
) -> Mask:
    """Run a dropout function on ones from the RNG state that it started from.

    Args:
        function: The function that ran.
        name: Its plain name.
        call: How it was called; only the input's shape, dtype, device and strides count.
        state: The state of the input's device's generator before it ran.
        row: Which row's flags to keep; None for the first elements of the whole mask.

    Returns:
        The mask with its count, and the central 95 % of Binomial(total, 1 - p).
    """
    device = call.input.device
    # The program's own function modes must neither hear of this nor choose another device.
    with torch._C.DisableTorchFunction(), torch.no_grad():
        after = _state(device)
        try:
            _set(device, state)
            ones = function(torch.ones_like(call.input), call.p, True)
            zeros = torch.zeros_like(ones)
            if "alpha" in name:
                # What alpha dropout drops becomes a number: the kept is what depends on the input.
                _set(device, state)
                zeros = function(torch.zeros_like(call.input), call.p, True)
        finally:
            _set(device, after)
        kept = ones != zeros
        scale = float((ones - zeros)[kept][0]) if bool(kept.any()) else 0.0
        flags = pick(kept, row).reshape(-1)[:ROW].tolist()
        if name in _CHANNELS and kept.dim() > (leading := _leading(name, kept.dim())):
            kept = kept.flatten(leading)[..., 0]
        total, count = kept.numel(), int(kept.count_nonzero())
        low, high = interval(total, 1 - call.p)
    return Mask(
        p=call.p, kept=count, total=total, low=low, high=high, scale=scale, row=tuple(flags),
        unit="channels" if name in _CHANNELS else "elements",
    )  # fmt: skip


def _leading(name: str, dimensions: int) -> int:
    """Return how many dimensions tell channels apart: one fewer where there is no batch."""
    return 1 if (name, dimensions) in {("dropout1d", 2), ("dropout3d", 4)} else 2


def interval(total: int, share: float) -> tuple[int, int]:
    """Return the central 95 % of Binomial(total, share) as counts.

    The probabilities are summed over eight standard deviations around the mean, in float64:
    https://en.wikipedia.org/wiki/Binomial_distribution

    >>> interval(640, 0.7)
    (425, 471)
    >>> interval(10, 1.0)
    (10, 10)
    """
    if total == 0 or not 0 < share < 1:
        return (round(total * share),) * 2
    mean, spread = total * share, (total * share * (1 - share)) ** 0.5
    start, stop = max(0, int(mean - 8 * spread) - 1), min(total, int(mean + 8 * spread) + 1)
    k = torch.arange(start, stop + 1, dtype=torch.float64)
    n = torch.tensor(float(total), dtype=torch.float64)
    chosen = torch.tensor(share, dtype=torch.float64)
    log = (
        torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        + k * chosen.log() + (n - k) * (1 - chosen).log()
    )  # fmt: skip
    below = log.exp().cumsum(0)
    # The logarithms are of large factorials: their common error goes.
    below = below / below[-1]
    edges = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = torch.searchsorted(below, edges).clamp(max=k.numel() - 1).tolist()
    return start + low, start + high


def _state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
