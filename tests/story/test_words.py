"""Each operation's sentence says what torch did: real calls, real arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.records import Op
from pipetrace.story.words import describe

X = torch.randn(4, 6)
IMAGES = torch.randn(2, 3, 8, 8)


class Call(nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


CASES = [
    (
        nn.Linear(6, 1),
        X,
        "The one output is a weighted sum of 6 inputs plus a bias: 1 × 6 weights and 1 bias.",
    ),
    (
        nn.Linear(6, 3, bias=False),
        X,
        "Each of 3 outputs is a weighted sum of 6 inputs: 3 × 6 weights, no bias.",
    ),
    (
        nn.ReLU(inplace=True),
        X,
        "Negative values become 0, the others pass unchanged. It writes over its input.",
    ),
    (nn.LeakyReLU(0.2), X, "Negative values are multiplied by 0.2, the others pass unchanged."),
    (
        nn.Dropout(0.25),
        X,
        "Each element is set to 0 with probability 0.25, independently of the others; "
        "those that stay are multiplied by 1/(1−0.25) = 1.333.",
    ),
    (
        nn.Dropout(0.25).eval(),
        X,
        "Switched off: the input passes unchanged. p = 0.25 has no effect here.",
    ),
    (nn.Dropout(0.0), X, "p = 0: no element is dropped, the input passes unchanged."),
    (nn.Dropout(1.0), X, "p = 1: every element is set to 0."),
    (
        nn.Dropout2d(0.5),
        IMAGES,
        "Each whole channel is set to 0 with probability 0.5, independently of the "
        "others; those that stay are multiplied by 1/(1−0.5) = 2.",
    ),
    (
        Call(lambda x: F.dropout(x, 0.5)).eval(),
        X,
        "Each element is set to 0 with probability 0.5, independently of the others "
        "although its module is in eval mode; those that stay are multiplied by "
        "1/(1−0.5) = 2.",
    ),
    (
        nn.BatchNorm1d(6),
        X,
        "Shifts and scales each channel with the mean and variance of this batch of 4 rows.",
    ),
    (
        nn.BatchNorm1d(6).eval(),
        X,
        "Shifts and scales each channel with the running mean and variance it has stored.",
    ),
    (
        nn.LayerNorm(6),
        X,
        "Shifts and scales each vector of 6 values to mean 0 and variance 1, then by a "
        "learned weight and bias.",
    ),
    (
        nn.Conv2d(3, 5, 3, padding=1),
        IMAGES,
        "Slides 5 filters of 3 × 3 over 3 channels: each output is a weighted sum over "
        "one window; padding 1 × 1.",
    ),
    (nn.MaxPool2d(2), IMAGES, "Keeps the largest value of each 2 × 2 window."),
    (
        nn.Softmax(dim=1),
        X,
        "Along dimension 1, each value x becomes e^x divided by the sum of all e^x: "
        "shares that add up to 1.",
    ),
    (
        nn.LogSoftmax(dim=1),
        X,
        "Along dimension 1, each value becomes the logarithm of its softmax share.",
    ),
    (Call(lambda x: x + 2.5), X, "Adds 2.5 to each element."),
    (Call(lambda x: x * x), X, "Multiplies two tensors element by element."),
    (Call(lambda x: 2 / x), X, "Divides 2 by each element."),
    (Call(lambda x: x @ x.T), X, "Multiplies two matrices: 4 × 6 by 6 × 4."),
    (Call(lambda x: torch.cat([x, x], dim=1)), X, "Joins 2 tensors along dimension 1."),
    (Call(lambda x: x.sum(dim=1)), X, "Takes the sum over dimension 1."),
    (Call(lambda x: x.mean()), X, "Takes the mean over all elements."),
    (Call(lambda x: x.argmax(1)), X, "Gives the position of the largest value along dimension 1."),
    (Call(lambda x: x.clamp(min=0.1)), X, "Values below 0.1 become 0.1."),
    (
        Call(torch.erfinv),
        X,
        "Calls erfinv. There is no description of this operation; what it returned is "
        "measured below.",
    ),
    (
        nn.Embedding(10, 3),
        torch.tensor([[1, 2]]),
        "Looks up 3 values for each number, in a table of 10 rows.",
    ),
    (
        nn.LSTM(6, 4, batch_first=True),
        X[None],
        "Runs an LSTM over the sequence as one operation: what happens inside was not traced.",
    ),
    (
        Call(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        X[None],
        "For each position, a mean of the values weighted by softmax(query · key / √6), "
        "looking back only.",
    ),
]


@pytest.mark.parametrize(("module", "x", "words"), CASES, ids=[words[:40] for *_, words in CASES])
def test_the_sentence_of_a_real_call(module, x, words, record_forward):
    ops = [fact for fact in record_forward(module, x.clone()) if isinstance(fact, Op)]
    assert describe(ops[-1]) == words


def test_gelu_pools_and_losses_are_described(record_forward):
    for module, x in (
        (nn.GELU(), X), (nn.SiLU(), X), (nn.Tanh(), X), (nn.ELU(), X),
        (nn.AdaptiveAvgPool2d(1), IMAGES),
        (nn.AvgPool2d(2), IMAGES), (nn.GroupNorm(1, 3), IMAGES),
        (nn.ConvTranspose2d(3, 2, 2), IMAGES),
        (Call(lambda x: F.cross_entropy(x, torch.zeros(4, dtype=torch.long))), X),
        (Call(lambda x: F.mse_loss(x, x)), X), (Call(lambda x: x.reshape(6, 4)), X),
        (Call(lambda x: x.permute(1, 0)), X), (Call(lambda x: x[:, 1]), X),
        (Call(lambda x: x.masked_fill(x > 0, 0.0)), X), (nn.MultiheadAttention(6, 2), X[None]),
    ):  # fmt: skip
        inputs = x.clone()
        if isinstance(module, nn.MultiheadAttention):
            attention = module
            module = Call(lambda x, attention=attention: attention(x, x, x)[0])
        ops = [fact for fact in record_forward(module, inputs) if isinstance(fact, Op)]
        assert not any("no description" in describe(op) for op in ops), ops
