"""The model and an exponential moving average of its weights are both evaluated."""

import torch
from digest import digest
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(120)
x = torch.randn(80, 5)
y = (x[:, 0] > 0).long()
train = DataLoader(TensorDataset(x[:56], y[:56]), batch_size=14, shuffle=True)
valid = DataLoader(TensorDataset(x[56:], y[56:]), batch_size=12)
model = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Linear(10, 2))
average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
criterion = nn.CrossEntropyLoss()
TRUTH, HELD = [[]], []


@torch.no_grad()
def evaluate(net):
    net.eval()
    return sum(criterion(net(a), b).item() * len(a) for a, b in valid) / 24


for epoch in range(3):
    model.train()
    total = 0.0
    for xb, yb in train:
        loss = criterion(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        total += loss.item() * len(xb)
    TRUTH[0].append(total / 56)
    HELD += [evaluate(model), evaluate(average)]
    print(epoch, [loss.hex() for loss in (TRUTH[0][-1], *HELD[-2:])])
digest(model, average)
