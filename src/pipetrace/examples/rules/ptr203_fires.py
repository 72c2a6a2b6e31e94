"""A layer drops, and the forward drops the same activation once more."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(8, 16), nn.Linear(16, 3)
        self.hidden = nn.Sequential(nn.ReLU(), nn.Dropout(0.3))

    def forward(self, x):
        h = self.hidden(self.inp(x))
        return self.out(F.dropout(h, 0.3, self.training))


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
