"""Five folds, each with a model and loaders of its own."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(114)
x = torch.randn(60, 4)
data = TensorDataset(x, (x[:, 0] > 0).long())
folds = torch.randperm(60).chunk(5)
criterion = nn.CrossEntropyLoss()
TRUTH, HELD = [], []
for fold, held in enumerate(folds):
    rest = torch.cat([part for part in folds if part is not held])
    train = DataLoader(Subset(data, rest.tolist()), batch_size=16, shuffle=True)
    valid = DataLoader(Subset(data, held.tolist()), batch_size=12)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    TRUTH.append([])
    for epoch in range(2):
        model.train()
        total = 0.0
        for xb, yb in train:
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(xb)
        TRUTH[-1].append(total / 48)
        model.eval()
        with torch.no_grad():
            for xb, yb in valid:
                HELD.append(criterion(model(xb), yb).item())
        print(fold, epoch, TRUTH[-1][-1].hex(), HELD[-1].hex())
digest(model)
