"""The op that makes the first NaN is found, also where no sample sees it."""

from __future__ import annotations

import torch
from small import Small
from torch import Tensor

import pipetrace as pt
from pipetrace.records import NotFinite

X = torch.arange(12.0).reshape(4, 3) / 7


def test_the_op_that_makes_a_nan_is_found_where_no_sample_sees_it():
    def forward(self: Small, x: Tensor) -> Tensor:
        shifted = x - 1
        return shifted.log().sum() + x.mean()

    values = torch.rand(2000, 500) + 2
    values[1000, 77] = 0.5
    run = pt.trace(Small(forward), values)
    assert all(tensor.nans == 0 for tensor in run.ops[1].outputs)
    (found,) = run.recording.all(NotFinite)
    assert run.ops[found.op].function == "log"
    assert (found.nans, found.infinities, found.total) == (1, 0, 1_000_000)


def test_a_mask_filled_with_infinities_is_no_fault():
    def forward(self: Small, x: Tensor) -> Tensor:
        hidden = torch.full((4, 3), float("-inf")).triu(1)
        return (x + hidden).softmax(-1)

    assert pt.trace(Small(forward), X).recording.all(NotFinite) == []
