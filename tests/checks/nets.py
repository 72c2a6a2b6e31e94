"""Small models and loops that programs of several families are put together from."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def rows(count=32, width=6):
    torch.manual_seed(0)
    x = torch.randn(count, width)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def program(model, x=None, y=None, loss_fn=F.cross_entropy, judge=None):
    if x is None:
        x, y = rows()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def train_step(model):
        model.train()
        total = 0.0
        for start in range(0, 24, 8):
            optimizer.zero_grad()
            loss = loss_fn(model(x[start : start + 8]), y[start : start + 8])
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / 3

    def eval_step(model):
        model.eval()
        with torch.no_grad():
            if judge is not None:
                return judge(model, x[24:], y[24:])
            return loss_fn(model(x[24:]), y[24:]).item()

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": loss_fn,
            "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step}  # fmt: skip


class Between(nn.Module):
    """Two layers with something in between: a function of the module and what it is given."""

    def __init__(self, between, width=6, hidden=8, classes=3, **kept):
        super().__init__()
        self.first, self.last = nn.Linear(width, hidden), nn.Linear(hidden, classes)
        self.between = [between]
        for name, value in kept.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.last(self.between[0](self, torch.relu(self.first(x))))


class Images(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)
        self.between = [between]

    def forward(self, x):
        x = self.between[0](self, torch.relu(self.conv(x.reshape(-1, 1, 6, 6))))
        return self.last(x.mean((2, 3)))


class Attention(nn.Module):
    """One head over rows of four steps; `attend` gets the module, queries, keys and values."""

    def __init__(self, attend, width=6):
        super().__init__()
        self.qkv, self.last = nn.Linear(width, 3 * width), nn.Linear(width, 3)
        self.attend = [attend]

    def forward(self, x):
        q, k, v = self.qkv(x.reshape(len(x), 4, 6)).chunk(3, -1)
        return self.last(self.attend[0](self, q, k, v).mean(1))


def images():
    x, y = rows(width=36)
    return {"x": x, "y": y}


def steps():
    x, y = rows(width=24)
    return {"x": x, "y": y}


def draws(count):
    """Return a way to judge: the mean of several forwards of the same rows."""

    def judge(model, x, y):
        scores = torch.stack([model(x).softmax(-1) for _ in range(count)])
        return F.nll_loss(scores.mean(0).log(), y).item()

    return judge
