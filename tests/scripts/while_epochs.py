"""Epochs in a `while` loop, nothing is evaluated."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(128)
x = torch.randn(40, 3)
y = x.prod(1, keepdim=True)
model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
TRUTH, epoch = [[]], 0
while epoch < 3:
    total = 0.0
    for xb, yb in zip(x.split(8), y.split(8)):
        loss = F.huber_loss(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 5
    TRUTH[0].append(total)
    print(epoch, total.hex())
    epoch += 1
digest(model)
