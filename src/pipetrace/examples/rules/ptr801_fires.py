"""The inputs are shuffled in each epoch, and the targets stay where they were."""

import torch
from torch import nn

torch.manual_seed(0)
centres = torch.randn(3, 8) * 2
y = torch.randint(0, 3, (64,))
x = centres[y] + torch.randn(64, 8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    model.train()
    order = torch.randperm(48)
    inputs = x[order]
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        loss = loss_fn(model(inputs[rows : rows + 16]), y[rows : rows + 16])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, loss_fn(model(x[48:]), y[48:]).item())
