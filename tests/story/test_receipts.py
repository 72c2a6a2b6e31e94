"""The receipt says what was compared, what differed, and what was tested about it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from pipetrace.blocks import Check, Text
from pipetrace.records import Capture
from pipetrace.story.figures import number
from pipetrace.story.provenance import provenance
from pipetrace.story.receipts import receipts
from pipetrace.tracefile import Recording


def first(recording: Recording) -> Check:
    return receipts(recording.all(Capture))[0]


class Padded(nn.Module):
    """An encoder that is always called with a padding mask."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[0, 3:] = True
        return self.encoder(x, src_key_padding_mask=padding)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_fast_path_of_attention_is_named_where_it_made_the_difference(traced):
    torch.manual_seed(0)
    with torch.no_grad():
        recording = traced(Padded().eval(), torch.randn(4, 6, 16))
    receipt = recording.all(Capture)[0].receipt
    assert (receipt.equal, receipt.unfused, receipt.repeats) == (False, True, True)
    check = first(recording)
    assert check.label == (
        "The traced forward: the fused fast path of the attention layers was the difference "
        "between plain and traced"
    )
    assert check.detail == (
        f"largest difference {number(receipt.difference)}; tested: with the fast path off, plain "
        "equals traced bit for bit"
    )


class Restless(nn.Module):
    """It adds another number at each call, from a generator that nobody can put back."""

    def forward(self, x):
        return x + random.SystemRandom().random()


def test_a_forward_that_does_not_repeat_itself_is_said_to_be_one(traced):
    check = first(traced(Restless(), torch.randn(4, 4)))
    assert check.state == "no"
    assert "the forward does not repeat itself: a plain repeat differs" in check.detail


def test_a_trace_without_a_receipt_says_so(traced):
    check = first(traced(nn.Linear(4, 2), torch.randn(8, 4), receipt=False))
    assert check == Check(
        label="The traced forward was not compared with a plain one: receipt=False",
        state="unknown",
    )


def test_an_equal_trace_says_how_many_values_were_compared(traced):
    check = first(traced(nn.Linear(4, 2), torch.randn(8, 4)))
    assert check.label == "The traced forward gave the plain forward's output, bit for bit"
    assert (check.state, check.detail) == ("yes", "16 output values compared")


def test_the_receipt_says_that_it_compares_the_replay(traced):
    """A BatchNorm in train mode moved its buffers in the call itself; the replay left them."""
    recording = traced(nn.BatchNorm1d(4), torch.randn(8, 4))
    assert all(check.state == "yes" for check in receipts(recording.all(Capture)))
    (heading,) = (block for block in provenance(recording).blocks if isinstance(block, Text))
    assert heading.text == (
        "Faithfulness receipt, did looking change anything? The output of each traced forward is "
        "compared with that of the program's own, and the state that the replay left with the "
        "state it found; buffers that the call itself moved are no difference."
    )
