"""Stops when the held-out loss has not fallen for two epochs, and takes the best weights back."""

import copy

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Trainer:
    def __init__(self, model, train_data, valid_data, patience=2):
        self.model, self.patience = model, patience
        self.train_loader = DataLoader(train_data, batch_size=16, shuffle=True)
        self.valid_loader = DataLoader(valid_data, batch_size=32)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        self.criterion = nn.CrossEntropyLoss()

    def fit(self, max_epochs):
        best, waited, best_state = float("inf"), 0, None
        for epoch in range(max_epochs):
            self.model.train()
            for x, y in self.train_loader:
                self.optimizer.zero_grad()
                self.criterion(self.model(x), y).backward()
                self.optimizer.step()
            valid = self.validate()
            print(epoch, repr(valid))
            if valid < best:
                best, waited = valid, 0
                best_state = copy.deepcopy(self.model.state_dict())
            else:
                waited += 1
            if waited >= self.patience:
                print("stopped at", epoch)
                break
        self.model.load_state_dict(best_state)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        losses = [self.criterion(self.model(x), y).item() * len(y) for x, y in self.valid_loader]
        return sum(losses) / len(self.valid_loader.dataset)


torch.set_num_threads(1)
torch.manual_seed(37)
x = torch.randn(160, 6)
y = ((x[:, 0] > 0) ^ (torch.rand(160) < 0.3)).long()
train_data, valid_data = random_split(TensorDataset(x, y), [96, 64])
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))
Trainer(model, train_data, valid_data).fit(max_epochs=20)
digest(model)
