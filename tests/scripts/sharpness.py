"""Sharpness-aware minimisation: two forwards and two backwards for every step."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(116)
x = torch.randn(72, 5)
y = (x[:, 0] > x[:, 1]).long()
loader = DataLoader(TensorDataset(x[:48], y[:48]), batch_size=16, shuffle=True)
model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
TRUTH, HELD = [[]], []
for epoch in range(3):
    total = 0.0
    for xb, yb in loader:
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        with torch.no_grad():
            moves = [0.05 * p.grad / norm for p in model.parameters()]
            for p, move in zip(model.parameters(), moves):
                p.add_(move)
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        with torch.no_grad():
            for p, move in zip(model.parameters(), moves):
                p.sub_(move)
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item() * len(xb)
    TRUTH[0].append(total / 48)
    with torch.no_grad():
        HELD.append(F.cross_entropy(model(x[48:]), y[48:]).item())
    print(epoch, TRUTH[0][-1].hex(), HELD[-1].hex())
digest(model)
