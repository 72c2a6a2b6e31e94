"""How well a trained model does on held-out rows, beside what a guess without inputs reaches."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.pipeline.prepare import Prepared


def measure(model: nn.Module, prepared: Prepared) -> dict[str, float]:
    """Measure a model on the held-out part, in eval mode; the model's modes are left as found.

    Returns:
        For classes `accuracy` in [0, 1] and `baseline accuracy`, that of the training part's most
        frequent class. For values `R2`, the coefficient of determination, 1 - (squared error) /
        (squared distance from the held-out mean); `RMSE` and `MAE`, the root mean squared and the
        mean absolute error in the target's unit; and `baseline RMSE`, that of predicting the
        training part's mean. `R2` is NaN where the held-out targets are all equal.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    with torch.no_grad():
        outputs = model(prepared.heldout_inputs)
    for module, mode in modes.items():
        module.training = mode
    truth = prepared.heldout_targets
    if prepared.task == "classes":
        most = int(prepared.train_targets.bincount().argmax())
        return {
            "accuracy": float((outputs.argmax(1) == truth).double().mean()),
            "baseline accuracy": float((truth == most).double().mean()),
        }
    unit = prepared.target_std or 1.0
    truth, errors = truth.double(), outputs.squeeze(1).double() - truth.double()
    spread = float((truth - truth.mean()).square().sum())
    squared = float(errors.square().sum())
    return {
        "R2": 1 - squared / spread if spread > 0 else float("nan"),
        "RMSE": unit * float(errors.square().mean().sqrt()),
        "MAE": unit * float(errors.abs().mean()),
        "baseline RMSE": unit * float(truth.square().mean().sqrt()),
    }
