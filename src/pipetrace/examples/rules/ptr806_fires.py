"""A GRU that expects time first gets the batch first."""

import torch
from torch import nn

torch.manual_seed(0)
centres = torch.randn(3, 8) * 2
y = torch.randint(0, 3, (64,))
x = centres[y][:, None] + torch.randn(64, 5, 8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


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
