"""Batches are the parts of a permutation, with a helper that yields them."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(101)
x = torch.randn(90, 6)
y = (x[:, 0] > x[:, 1]).long()
x_test, y_test = x[60:], y[60:]
x, y = x[:60], y[:60]
model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
TRUTH, HELD = [[]], []


def batches(size):
    for index in torch.randperm(len(x)).split(size):
        yield x[index], y[index]


for epoch in range(3):
    total = 0.0
    for xb, yb in batches(16):
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    TRUTH[0].append(total / len(x))
    with torch.no_grad():
        HELD.append(F.cross_entropy(model(x_test), y_test).item())
    print(epoch, TRUTH[0][-1].hex(), HELD[-1].hex())
digest(model)
