"""Every epoch leaves the loader after three of its batches."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(122)
x = torch.randn(100, 4)
y = (x[:, 0] > 0).long()
train = DataLoader(TensorDataset(x[:80], y[:80]), batch_size=10, shuffle=True)
valid = DataLoader(TensorDataset(x[80:], y[80:]), batch_size=10)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH, HELD = [[]], []
for epoch in range(4):
    total = 0.0
    for number, (xb, yb) in enumerate(train):
        if number == 3:
            break
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 3
    TRUTH[0].append(total)
    with torch.no_grad():
        HELD.append(sum(F.cross_entropy(model(a), b).item() for a, b in valid) / len(valid))
    print(epoch, total.hex(), HELD[-1].hex())
digest(model)
