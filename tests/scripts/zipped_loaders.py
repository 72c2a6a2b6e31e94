"""Two loaders side by side: labelled rows, and more rows without labels."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(104)
x = torch.randn(120, 5)
y = (x[:, 0] + x[:, 1] > 0).long()
labelled = DataLoader(TensorDataset(x[:32], y[:32]), batch_size=8, shuffle=True)
unlabelled = DataLoader(TensorDataset(x[32:96]), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH, HELD = [[]], []
for epoch in range(3):
    total, steps = 0.0, 0
    for (xl, yl), (xu,) in zip(labelled, unlabelled):
        entropy = torch.special.entr(model(xu).softmax(1)).sum(1).mean()
        loss = F.cross_entropy(model(xl), yl) + 0.1 * entropy
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, steps = total + loss.item(), steps + 1
    TRUTH[0].append(total / steps)
    with torch.no_grad():
        HELD.append(F.cross_entropy(model(x[96:]), y[96:]).item())
    print(epoch, steps, TRUTH[0][-1].hex(), HELD[-1].hex())
digest(model)
