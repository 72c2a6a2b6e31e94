"""A backward in eval mode finds the worst inputs, which are then trained on in train mode."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))

model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    model.train()
    for rows in range(0, 48, 16):
        model.eval()
        worst = x[rows : rows + 16].clone().requires_grad_(True)
        F.cross_entropy(model(worst), y[rows : rows + 16]).backward()
        worst = (worst + 0.1 * worst.grad.sign()).detach()
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(worst), y[rows : rows + 16]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x[48:]), y[48:]).item())
