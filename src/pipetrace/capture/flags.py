"""Flags that tell what was kept become a mask with its count and interval."""

from __future__ import annotations

import torch

from pipetrace.parts import Mask


def counted(kept: torch.Tensor, p: float, scale: float, row: tuple[bool, ...], unit: str) -> Mask:
    """Return a mask from its flags.

    Args:
        kept: One flag for each thing that is dropped independently; any shape, bool.
        p: The probability of being dropped.
        scale: What the survivors were multiplied with.
        row: The flags of the sample's row.
        unit: What is dropped: `elements`, `channels`, `rows` or `batches`.
    """
    # The program's own function modes must not choose another device for what we compute.
    with torch._C.DisableTorchFunction():
        total, count = kept.numel(), int(kept.count_nonzero())
        low, high = interval(total, 1 - p)
    return Mask(p=p, kept=count, total=total, low=low, high=high, scale=scale,
                row=row, unit=unit)  # fmt: skip


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
