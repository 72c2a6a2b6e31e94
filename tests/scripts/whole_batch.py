"""All rows at every step; train and test are scored on lines of their own."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(129)
x, x_test = torch.randn(40, 3), torch.randn(24, 3)
y, y_test = (x[:, 0] > 0).long(), (x_test[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH, HELD = [[]], []
for step in range(5):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    TRUTH[0].append(loss.item())
    with torch.no_grad():
        HELD.append(F.cross_entropy(model(x_test), y_test).item())
    print(step, TRUTH[0][-1].hex(), HELD[-1].hex())
with torch.no_grad():
    HELD.append(F.cross_entropy(model(x_test[:12]), y_test[:12]).item())
digest(model)
