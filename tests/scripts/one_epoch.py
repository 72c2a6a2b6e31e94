"""One epoch only, and a test at the end."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(126)
x = torch.randn(140, 4)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH, HELD, total = [[]], [], 0.0
for xb, yb in DataLoader(TensorDataset(x[:100], y[:100]), batch_size=10, shuffle=True):
    loss = F.cross_entropy(model(xb), yb)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss.item() / 10
TRUTH[0].append(total)
model.eval()
with torch.no_grad():
    HELD.append(F.cross_entropy(model(x[100:]), y[100:]).item())
print(total.hex(), HELD[0].hex())
digest(model)
