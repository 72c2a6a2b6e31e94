"""Train and eval of one batch are told apart where the difference comes in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pipetrace as pt
from pipetrace.records import Contrast

X = torch.arange(12.0).reshape(4, 3) / 7


@pytest.mark.parametrize("training", [True, False])
def test_both_modes_say_where_differences_come_in(training: bool):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2), nn.ReLU()
    ).train(training)
    before = [buffer.clone() for buffer in model[1].buffers()]
    with torch.no_grad(), pt.options(both_modes=True):
        torch.manual_seed(1)
        run = pt.trace(model, X)
        given = model[0](X)
    (found,) = run.recording.all(Contrast)
    assert found.training is not training
    assert [(run.ops[d.op].function, d.cause) for d in found.sources] == [
        ("batch_norm", "mode"), ("dropout", "mode"),
    ]  # fmt: skip
    # Counting its batches is an op that batch norm has in train mode only.
    assert (found.paired, found.only_here, found.only_there) == (5, training, not training)
    assert found.differing >= 3
    mean, variance, _ = before
    with torch.no_grad():
        normed = [F.batch_norm(given, mean.clone(), variance.clone(), model[1].weight,
                               model[1].bias, mode) for mode in (True, False)]  # fmt: skip
    gap = float((normed[0] - normed[1]).abs().max())
    assert found.sources[0].largest == pytest.approx(gap, rel=1e-5)
    assert float(model[1].num_batches_tracked) == training
    assert [module.training for module in model.modules()] == [training] * 6


def test_a_nan_is_not_a_zero():
    class Worse(nn.Module):
        def forward(self, x):
            return x * (0.0 if self.training else float("nan"))

    with pt.options(both_modes=True):
        (found,) = pt.trace(Worse(), X).recording.all(Contrast)
    assert found.differing == 1
