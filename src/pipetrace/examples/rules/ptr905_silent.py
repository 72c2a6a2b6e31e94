"""The optimizer leaves out the steps whose loss is NaN."""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(64, 8)
y = x @ torch.randn(8)
model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 1), nn.Flatten(0))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(6):
    optimizer.zero_grad()
    loss = torch.sqrt((model(x) - y - 40).mean() if step % 2 else (model(x) - y + 40).mean())
    loss.backward()
    if loss.isfinite():
        optimizer.step()
    print(step, loss.item())
