"""Softmax and logarithm by hand, then F.nll_loss."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(5)
x = torch.randn(150, 4)
y = torch.argmax(x @ torch.randn(4, 3), dim=1)
loader = DataLoader(TensorDataset(x[:120], y[:120]), batch_size=24, shuffle=True)
model = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Dropout(0.3), nn.Linear(20, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)


def log_probabilities(inputs):
    scores = model(inputs)
    powers = torch.exp(scores - scores.max(1, keepdim=True).values)
    return torch.log(powers / powers.sum(1, keepdim=True))


for epoch in range(4):
    model.train()
    for inputs, targets in loader:
        loss = F.nll_loss(log_probabilities(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        held_out = F.nll_loss(log_probabilities(x[120:]), y[120:])
    print(epoch, repr(loss.item()), repr(held_out.item()))
digest(model)
