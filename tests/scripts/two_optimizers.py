"""One loss, two optimizers: the body learns more slowly than the head, with autocast."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(109)
x = torch.randn(60, 8)
y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
loader = DataLoader(TensorDataset(x, y), batch_size=15, shuffle=True)
model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 3))
slow = torch.optim.SGD(model[0].parameters(), lr=0.01)
fast = torch.optim.SGD(model[3].parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
TRUTH = [[]]
for epoch in range(3):
    total = 0.0
    for xb, yb in loader:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(model(xb), yb)
        slow.zero_grad()
        fast.zero_grad()
        loss.backward()
        slow.step()
        fast.step()
        total += loss.item() * len(xb)
    TRUTH[0].append(total / 60)
    print(epoch, TRUTH[0][-1].hex())
digest(model)
