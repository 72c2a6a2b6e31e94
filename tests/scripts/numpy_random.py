"""Draws from numpy's and Python's generators, in the loop and inside forward."""

import random

import numpy as np
import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
random.seed(0)
np.random.seed(0)
torch.manual_seed(0)

data = np.random.randn(120, 6).astype("float32")
labels = (data[:, 0] > data[:, 1]).astype("int64")


class LayerDrop(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(3))
        self.last = nn.Linear(12, 2)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for layer in self.layers:
            if self.training and random.random() < 0.3:
                continue
            x = x + torch.relu(layer(x))
        if self.training:
            x = x + 0.01 * torch.from_numpy(np.random.randn(*x.shape).astype("float32"))
        return self.last(x)


model = LayerDrop()
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
criterion = nn.CrossEntropyLoss()
order = list(range(90))
for epoch in range(3):
    random.shuffle(order)
    model.train()
    for start in range(0, 90, 30):
        rows = order[start : start + 30]
        batch = data[rows] + np.random.normal(0, 0.05, (30, 6)).astype("float32")
        if random.random() < 0.5:
            batch = batch * np.float32(1.1)
        loss = criterion(model(torch.from_numpy(batch)), torch.from_numpy(labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(epoch, start, repr(loss.item()))
    model.eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(data[90:]))
        print("held out", repr(criterion(logits, torch.from_numpy(labels[90:])).item()))
digest(model)
