"""Prints five megabytes while it trains."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(59)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
line = "the same line over and over, " * 3
for step in range(20):
    x = torch.randn(8, 3)
    loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, repr(loss.item()))
    for _ in range(2900):
        print(line)
digest(model)
