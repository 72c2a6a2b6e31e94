"""A rate far too high has left every unit of the hidden layer dead."""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(64, 8) * 9
y = -torch.rand(64, 1) - 40
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3.0)
for epoch in range(2):
    model.train()
    for rows in torch.randperm(48).split(16):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, loss_fn(model(x[48:]), y[48:]).item())
