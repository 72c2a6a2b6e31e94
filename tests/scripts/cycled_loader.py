"""A short loader goes round and round beside the one that the epoch is over."""

import itertools

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def forever(loader):
    while True:
        yield from loader


torch.set_num_threads(1)
torch.manual_seed(105)
x = torch.randn(100, 5)
y = x @ torch.randn(5, 1)
main = DataLoader(TensorDataset(x[:64], y[:64]), batch_size=8, shuffle=True)
replayed = DataLoader(TensorDataset(x[64:80], y[64:80]), batch_size=8, shuffle=True)
kept = DataLoader(TensorDataset(x[80:], y[80:]), batch_size=4)
model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
again, cached = forever(replayed), itertools.cycle(kept)
TRUTH = [[]]
for epoch in range(3):
    total = 0.0
    for x_main, y_main in main:
        x_old, y_old = next(again)
        x_kept, y_kept = next(cached)
        rows, targets = torch.cat([x_main, x_old, x_kept]), torch.cat([y_main, y_old, y_kept])
        loss = F.mse_loss(model(rows), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    TRUTH[0].append(total / len(main))
    print(epoch, TRUTH[0][-1].hex())
digest(model)
