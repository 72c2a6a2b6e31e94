"""Stochastic gradient descent without an optimizer."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(125)
x = torch.randn(96, 4)
y = x @ torch.randn(4, 1)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
TRUTH, HELD = [[]], []
for epoch in range(3):
    total = 0.0
    for start in range(0, 64, 16):
        loss = F.mse_loss(model(x[start : start + 16]), y[start : start + 16])
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.05 * parameter.grad
        total += loss.item() / 4
    TRUTH[0].append(total)
    with torch.no_grad():
        HELD.append(F.mse_loss(model(x[64:]), y[64:]).item())
    print(epoch, total.hex(), HELD[-1].hex())
digest(model)
