"""Validates twice within every epoch, each time in the middle of the training loader's pass."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(123)
x = torch.randn(150, 4)
y = (x[:, 0] > x[:, 1]).long()
train = DataLoader(TensorDataset(x[:120], y[:120]), batch_size=4, shuffle=True)
valid = DataLoader(TensorDataset(x[120:], y[120:]), batch_size=15)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
TRUTH, HELD, step = [[]], [], 0
for epoch in range(2):
    total = 0.0
    for xb, yb in train:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / len(train)
        step += 1
        if step % 12 == 0:
            model.eval()
            with torch.no_grad():
                losses = [F.cross_entropy(model(a), b).item() for a, b in valid]
            HELD.append(sum(losses) / len(losses))
            model.train()
            print("valid", step, HELD[-1].hex())
    TRUTH[0].append(total)
    print(epoch, total.hex())
digest(model)
