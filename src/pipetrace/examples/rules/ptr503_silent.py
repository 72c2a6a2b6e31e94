"""The members of an ensemble begin as different networks."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))


def member():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList([member() for _ in range(3)])

    def forward(self, x):
        return torch.stack([member(x) for member in self.members]).mean(0)


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    model.train()
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows : rows + 16]), y[rows : rows + 16])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x[48:]), y[48:]).item())
