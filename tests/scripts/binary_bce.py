"""Two classes from one logit: BCEWithLogits, squeezed."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(13)
features = torch.randn(180, 10)
target = (features[:, 0] - features[:, 5] > 0).float()
train_set = TensorDataset(features[:140], target[:140])
test_set = TensorDataset(features[140:], target[140:])


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.25))
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return self.out(self.net(x)).squeeze(1)


model = Detector()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(4):
    for phase, dataset in (("train", train_set), ("val", test_set)):
        model.train(phase == "train")
        total, hits = 0.0, 0
        for x, y in DataLoader(dataset, batch_size=20, shuffle=phase == "train"):
            with torch.set_grad_enabled(phase == "train"):
                logit = model(x)
                loss = criterion(logit, y)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            total += loss.item() * len(y)
            hits += int(((logit > 0) == (y > 0.5)).sum())
        print(epoch, phase, repr(total / len(dataset)), hits / len(dataset))
digest(model)
