"""Whether a parameter still looks as it was drawn: two tests on numbers spread over it."""

from __future__ import annotations

import torch
from torch import nn

_SAMPLE = 64
"""So many numbers of a parameter tell whether it moved."""
_TESTED = 4096
_FEW = 16
"""Of fewer numbers no distribution is told."""
_TERMS = 50
_ROUNDING = 1e-4


def sample(tensor: torch.Tensor) -> tuple[float, ...]:
    """Return numbers spread over a parameter; none where it has none that could be read."""
    lazy = nn.parameter.is_lazy(tensor)
    if lazy or tensor.is_meta or tensor.layout is not torch.strided:
        return ()
    return tuple(_spread(tensor, _SAMPLE).tolist())


def uniform(tensor: torch.Tensor) -> float | None:
    """Return the p-value of a weight's being drawn as `nn.Linear` and convolutions draw theirs.

    That is from -1/sqrt(inputs) to 1/sqrt(inputs), each number alike; 0 where one lies outside.
    """
    found = _tested(tensor)
    if found is None:
        return None
    scaled = found * (tensor.numel() / tensor.shape[0]) ** 0.5
    outside = float(scaled.abs().max()) > 1 + _ROUNDING
    return 0.0 if outside else _kolmogorov((scaled + 1) / 2)


def drawn(tensor: torch.Tensor) -> float | None:
    """Return the larger p-value of a uniform and a normal distribution of a matrix's own width."""
    found = _tested(tensor)
    if found is None or not float(found.abs().max()):
        return None
    flat = (found / found.abs().max() + 1) / 2
    bell = torch.special.ndtr(found / found.square().mean().sqrt())
    return max(_kolmogorov(flat), _kolmogorov(bell))


def _spread(tensor: torch.Tensor, count: int) -> torch.Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // count)]


def _tested(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return numbers of a matrix in order; None where there are too few, or some are not finite."""
    if tensor.dim() < 2 or tensor.numel() < _FEW or not sample(tensor):
        return None
    if not tensor.is_floating_point():
        return None
    found = _spread(tensor, _TESTED).float().cpu().sort().values
    return found if bool(found.isfinite().all()) else None


def _kolmogorov(shares: torch.Tensor) -> float:
    """Return the p-value of numbers in order being uniform in [0, 1], by the limiting law.

    Kolmogorov, Sulla determinazione empirica di una legge di distribuzione, 1933.
    """
    count = len(shares)
    ranks = torch.arange(1, count + 1) / count
    distance = torch.maximum(ranks - shares, shares - ranks + 1 / count).max()
    terms = torch.arange(1, _TERMS, dtype=torch.float64)
    signs = 1 - 2 * ((terms + 1) % 2)
    series = (signs * torch.exp(-2 * (terms * float(distance)) ** 2 * count)).sum()
    # The series needs more and more terms towards 0, where the p-value is 1.
    return 1.0 if float(distance) * count**0.5 < 0.2 else min(1.0, max(0.0, float(2 * series)))
