"""The logarithm of 0 makes an infinity, and the loss NaN."""

import torch
from torch import nn

torch.manual_seed(0)
centres = torch.randn(3, 8) * 2
y = torch.randint(0, 3, (64,))
x = centres[y] + torch.randn(64, 8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.out(torch.log(self.body(x).relu()))


model = Net()
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    model.train()
    for rows in torch.randperm(48).split(16):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, loss_fn(model(x[48:]), y[48:]).item())
