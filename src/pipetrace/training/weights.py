"""What PyTorch's own mean divides by, so that the mean over batches is that over all rows."""

from __future__ import annotations

from typing import Any

import torch

_BY_ROW = {
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "cosine_embedding_loss", "triplet_margin_loss",
}  # fmt: skip
_INDEXED = {"cross_entropy", "nll_loss"}


def by_class(name: str, target: torch.Tensor) -> bool:
    """Tell whether a mean is over the targets that are not ignored, by the weights of classes."""
    return name in _INDEXED and not target.is_floating_point()


def weight(
    name: str, prediction: torch.Tensor, target: torch.Tensor, options: dict[str, Any]
) -> torch.Tensor | int:  # fmt: skip
    """Return what `reduction="mean"` divides the sum of the losses by.

    Args:
        name: The loss function.
        prediction: Its first argument.
        target: Its second: class indices, or whatever the function takes.
        options: Its other arguments by name.

    Returns:
        A number, or a scalar tensor on the target's device where the target had to be looked at.

    >>> logits, target = torch.zeros(3, 2), torch.tensor([0, 1, -100])
    >>> int(weight("cross_entropy", logits, target, {}))
    2
    >>> float(weight("cross_entropy", logits, target, {"weight": torch.tensor([1.0, 0.5])}))
    1.5
    >>> weight("mse_loss", logits, torch.zeros(3, 2), {})
    6
    """
    weights: torch.Tensor | None = options.get("weight")
    if by_class(name, target):
        counted: torch.Tensor = target != options.get("ignore_index", -100)
        if weights is None:
            return counted.sum()
        return (weights[target.where(counted, 0)] * counted).sum()
    rows = prediction.shape[0]
    if name in _INDEXED:
        return prediction.numel() // (prediction.shape[1] if prediction.dim() > 1 else rows)
    if name in _BY_ROW or options.get("reduction") == "batchmean":
        return rows
    if name == "ctc_loss":
        return prediction.shape[1] if prediction.dim() == 3 else 1
    if name in ("mse_loss", "l1_loss") and weights is not None:
        return weights.sum()
    return prediction.numel()
