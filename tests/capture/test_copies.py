"""A replay is given inputs that share their elements as the program's own do."""

from __future__ import annotations

import torch
from torch import nn

import pipetrace as pt
from pipetrace.capture.copies import copied
from pipetrace.records import Capture


class Writer(nn.Module):
    """Writes into one input, and reads another."""

    def forward(self, written: torch.Tensor, *, read: torch.Tensor) -> torch.Tensor:
        written.add_(1)
        return read * 2


def test_a_write_shows_in_what_shares_the_elements():
    whole = torch.arange(12.0).reshape(4, 3)
    run = pt.trace(Writer(), whole[1:3], read=whole.T[1:])
    assert torch.equal(run.output, whole.T[1:] * 2)
    (capture,) = run.recording.all(Capture)
    assert capture.receipt is not None
    assert capture.receipt.equal
    assert torch.equal(whole[1], torch.arange(3.0, 6.0) + 1), "written to once"


def test_only_the_stretch_that_is_shared_is_copied():
    data = torch.arange(1000.0)
    (one, other, alone), _ = copied((data[10:20], data[15:25], torch.ones(3)), {})
    one[5:] = -1
    assert other.tolist() == [-1.0] * 5 + [20.0, 21.0, 22.0, 23.0, 24.0]
    assert one.untyped_storage().nbytes() == 15 * 4
    assert alone.tolist() == [1, 1, 1]
    assert data[15] == 15
    (one, far), _ = copied((data[:10], data[990:]), {})
    assert one.untyped_storage().nbytes() == far.untyped_storage().nbytes() == 10 * 4


def test_what_is_given_alone_or_twice_stays_apart_from_the_original():
    x = torch.ones(4, requires_grad=True)
    (first, second), named = copied((x, x), {"again": x})
    assert first is second is named["again"]
    assert first is not x
    assert first.requires_grad
    (strided,), _ = copied((torch.arange(6.0)[::2],), {})
    assert strided.tolist() == [0, 2, 4]
