"""What draws random numbers and drops nothing has no mask; what has none it can tell says why."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small import with_numbers

import pipetrace as pt


def trace(function, x: torch.Tensor):
    """Trace a call; return its output, and the ops that say something of a mask."""
    torch.manual_seed(0)
    run = pt.trace(with_numbers(function), x)
    return run.output, [op for op in run.ops if op.mask or op.mask_missing]


def data(*sizes: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(sizes).add_(1)


def mixed(_, x):
    mask = (torch.rand_like(x) < 0.3).float()
    return x * mask + x.flip(0) * (1 - mask)


def replaced(model, x):
    mask = (torch.rand(*x.shape[:2], 1) < 0.3).float()
    return x * (1 - mask) + model.weight[0] * mask


def masked_tokens(_, x):
    tokens = x.long()
    tokens[torch.rand(tokens.shape) < 0.15] = 103
    return tokens


def masked_language(_, x):
    tokens = (x * 10).long()
    chosen = torch.bernoulli(torch.full(tokens.shape, 0.15)).bool()
    labels = tokens.masked_fill(~chosen, -100)
    swapped = torch.bernoulli(torch.full(tokens.shape, 0.8)).bool() & chosen
    tokens[swapped] = 0
    return tokens * 1.0, labels


def variational(_, x):
    return x + (0.5 * x).exp() * torch.randn_like(x)


def gumbel(_, x):
    return x - torch.log(-torch.log(torch.rand_like(x)))


def labelled(_, x):
    labels = torch.randint(0, 5, x.shape[:2])
    return F.one_hot(labels, 5).float() * x.log_softmax(-1)


def mixed_up(_, x):
    share = torch.rand(())
    return share * x + (1 - share) * x[torch.randperm(len(x))]


NOTHING = {
    "noise": lambda _, x: x + 0.1 * torch.randn_like(x),
    "noise that multiplies": lambda _, x: x * torch.rand_like(x),
    "uniform noise": lambda _, x: x + (torch.rand_like(x) - 0.5),
    "dithering": lambda _, x: torch.floor(x + torch.rand_like(x)) * x,
    "labels": labelled,
    "Gumbel noise": gumbel,
    "Gumbel softmax": lambda _, x: F.gumbel_softmax(x, hard=True) * x,
    "tokens by index": masked_tokens,
    "masked language": masked_language,
    "variational": variational,
    "a flip of some rows": lambda _, x: torch.where(torch.rand(4, 1, 1) < 0.5, x, x.flip(-1)),
    "another number": lambda _, x: x.masked_fill(torch.rand_like(x) < 0.3, -torch.inf),
    "where another number": lambda _, x: torch.where(torch.rand_like(x) < 0.3, x, 1.0),
    "a choice between two": mixed,
    "replaced by what is learned": replaced,
    "mixup": mixed_up,
    "noise for some": lambda _, x: x + 0.1 * torch.randn_like(x) * (torch.rand_like(x) < 0.3),
    "a wider draw": lambda _, x: x * torch.empty_like(x).uniform_(0, 2).lt(1),
    "rounding": lambda _, x: x.round() * x,
    "a comparison of data": lambda _, x: x * (x > 1.5),
    "randomised ReLU": lambda _, x: F.rrelu(x, training=True),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_no_dropout(name: str):
    _, ops = trace(NOTHING[name], data(4, 6, 5))
    assert ops == []


def probabilities(_, x):
    return x * torch.bernoulli(x - 1)


def chosen(_, x):
    marks = torch.zeros(x.shape[:2]).scatter_(1, torch.multinomial(torch.ones(4, 6), 3), 1.0)
    return x * marks[..., None]


def shuffled(_, x):
    marks = torch.randperm(x.numel()).view(x.shape) < 40
    return x * marks


def binomial(_, x):
    return x * torch.distributions.Binomial(probs=torch.tensor(0.7)).sample(x.shape)


MISSING = {
    "a probability for each element": (probabilities, "probability is a tensor"),
    "a comparison with many numbers": (
        lambda _, x: x * (torch.rand_like(x) < x - 1), "probability is a tensor"),
    "a probability from a buffer": (
        lambda model, x: x * (torch.rand_like(x) < model.keep), "probability is a tensor"),
    "floored with a buffer": (
        lambda model, x: x * torch.floor(torch.rand_like(x) + model.keep),
        "probability is a tensor"),
    "multinomial": (chosen, "multinomial"),
    "randperm": (shuffled, "randperm"),
    "binomial": (binomial, "probability is a tensor"),
    "dropout with a buffer": (
        lambda model, x: F.dropout(x, model.keep), "probability is a tensor"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_why_a_mask_is_missing(name: str):
    function, reason = MISSING[name]
    output, (op,) = trace(function, data(4, 6, 5))
    assert op.mask is None
    assert reason in op.mask_missing
    assert 0 < int((output == 0).sum()) < output.numel(), "something was dropped"
