"""An iterable data set of unknown length, whose rows are drawn anew in every epoch."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Stream(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        for _ in range(self.rows):
            x = torch.randn(5)
            yield x, x.sum().unsqueeze(0)


torch.set_num_threads(1)
torch.manual_seed(102)
model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
criterion = nn.SmoothL1Loss()
train, valid = DataLoader(Stream(50), batch_size=12), DataLoader(Stream(20), batch_size=12)
TRUTH, HELD = [[]], []
for epoch in range(3):
    model.train()
    total = 0.0
    for x, y in train:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    TRUTH[0].append(total / 50)
    model.eval()
    with torch.inference_mode():
        HELD.append(sum(criterion(model(x), y).item() * len(x) for x, y in valid) / 20)
    print(epoch, TRUTH[0][-1].hex(), HELD[-1].hex())
digest(model)
