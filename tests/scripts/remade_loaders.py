"""Data sets and loaders are made anew in every epoch."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(115)
x = torch.randn(70, 5)
y = (x[:, 0] > 0).long()


def loaders():
    train = DataLoader(TensorDataset(x[:50], y[:50]), batch_size=10, shuffle=True)
    return train, DataLoader(TensorDataset(x[50:], y[50:]), batch_size=10)


model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH, HELD = [[]], []
for epoch in range(4):
    train, valid = loaders()
    total = 0.0
    model.train()
    for xb, yb in train:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / len(train)
    TRUTH[0].append(total)
    model.eval()
    with torch.no_grad():
        HELD.append(sum(F.cross_entropy(model(a), b).item() for a, b in valid) / len(valid))
    print(epoch, total.hex(), HELD[-1].hex())
digest(model)
