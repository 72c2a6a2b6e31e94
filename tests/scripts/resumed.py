"""Training is saved after two epochs, and goes on with a model and an optimizer made anew."""

import io

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(113)
x = torch.randn(50, 4)
y = (x[:, 0] > 0).long()
loader = DataLoader(TensorDataset(x, y), batch_size=10, shuffle=True)
TRUTH, saved = [], io.BytesIO()


def fresh():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def train(model, optimizer, epochs):
    TRUTH.append([])
    for epoch in epochs:
        total = 0.0
        for xb, yb in loader:
            loss = F.cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(xb)
        TRUTH[-1].append(total / 50)
        print(epoch, TRUTH[-1][-1].hex())


model, optimizer = fresh()
train(model, optimizer, range(2))
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, saved)
saved.seek(0)
state = torch.load(saved, weights_only=True)
del model, optimizer
model, optimizer = fresh()
model.load_state_dict(state["model"])
optimizer.load_state_dict(state["optimizer"])
train(model, optimizer, range(2, 5))
digest(model)
