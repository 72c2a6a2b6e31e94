"""A dropout mask is regenerated: the same function, from the same RNG state, on ones."""

from __future__ import annotations

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


def drop(name: str, arguments: dict[str, Any]) -> Drop | None:
    """Return how a dropout was called, or None for any other function."""
    if name not in _ELEMENTS | _CHANNELS:
        return None
    tensor, p = arguments.get("input"), arguments.get("p", 0.5)
    # torch.dropout calls its mode `train`; torch.nn.functional.dropout calls it `training`.
    training = arguments.get("training", arguments.get("train", False))
    if not isinstance(tensor, torch.Tensor):
        return None
    return Drop(tensor, float(p), bool(training))


def regenerate(
    function: Callable[..., Any],
    name: str,
    call: Drop,
    state: torch.Tensor,
    *,
    row: int | None,
) -> Mask:
    """Run a dropout function on ones from the RNG state it started from.

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
    after = _state(device)
    try:
        _set(device, state)
        ones = torch.ones_like(call.input)
        scaled = function(ones, call.p, True)
    finally:
        _set(device, after)
    if call.p >= 1:
        kept = torch.zeros_like(scaled, dtype=torch.bool)
    elif "alpha" in name:
        # Alpha dropout moves dropped ones to a lower value instead of zero.
        kept = scaled > (scaled.max() + scaled.min()) / 2 if call.p > 0 else scaled == scaled
    else:
        kept = scaled != 0
    scale = float(scaled[kept].flatten()[0]) if bool(kept.any()) else 0.0
    flags = pick(kept, row).reshape(-1)[:ROW].tolist()
    if name in _CHANNELS and kept.dim() > 2:
        kept = kept.flatten(2)[:, :, 0]
    total, count = kept.numel(), int(kept.sum())
    low, high = interval(total, 1 - call.p)
    return Mask(
        p=call.p, kept=count, total=total, low=low, high=high, scale=scale, row=tuple(flags),
        unit="channels" if name in _CHANNELS else "elements",
    )  # fmt: skip


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
