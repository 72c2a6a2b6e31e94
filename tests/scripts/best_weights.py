"""Early stopping by hand; the best weights are taken back and evaluated once more."""

import copy

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(112)
x = torch.randn(80, 6)
y = ((x[:, 0] > 0) ^ (torch.rand(80) < 0.35)).long()
x_valid, y_valid, x, y = x[48:], y[48:], x[:48], y[:48]
model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
TRUTH, HELD = [[]], []


def evaluate():
    model.eval()
    with torch.no_grad():
        HELD.append(F.cross_entropy(model(x_valid), y_valid).item())
    return HELD[-1]


best, best_state, waited, epoch = float("inf"), None, 0, 0
while waited < 2:
    model.train()
    total = 0.0
    for start in range(0, 48, 12):
        xb, yb = x[start : start + 12], y[start : start + 12]
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 4
    TRUTH[0].append(total)
    valid = evaluate()
    print(epoch, total.hex(), valid.hex())
    if valid < best:
        best, best_state, waited = valid, copy.deepcopy(model.state_dict()), 0
    else:
        waited += 1
    epoch += 1
model.load_state_dict(best_state)
print(evaluate().hex())
digest(model)
