"""A frozen backbone is put to sleep once, and woken by the next epoch."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))

model = nn.Sequential(
    nn.Linear(8, 16),
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.Dropout(0.3),
    nn.Linear(16, 3),
)
model[:2].requires_grad_(False)
model[:2].eval()
optimizer = torch.optim.SGD(model[4].parameters(), lr=0.1)
for epoch in range(2):
    model.train()
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows : rows + 16]), y[rows : rows + 16])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x[48:]), y[48:]).item())
