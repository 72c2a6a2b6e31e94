"""Training and validation share one loop over the names of the phases."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(124)
x = torch.randn(84, 5)
y = (x[:, 0] > 0).long()
loaders = {
    "train": DataLoader(TensorDataset(x[:60], y[:60]), batch_size=16, shuffle=True),
    "val": DataLoader(TensorDataset(x[60:], y[60:]), batch_size=16),
}
model = nn.Sequential(nn.Linear(5, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
criterion = nn.CrossEntropyLoss()
TRUTH, HELD = [[]], []
for epoch in range(3):
    for phase in ["train", "val"]:
        if phase == "train":
            model.train()
        else:
            model.eval()
        total = 0.0
        for xb, yb in loaders[phase]:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                loss = criterion(model(xb), yb)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            total += loss.item() * len(xb)
        mean = total / len(loaders[phase].dataset)
        (TRUTH[0] if phase == "train" else HELD).append(mean)
        print(epoch, phase, mean.hex())
    scheduler.step()
digest(model)
