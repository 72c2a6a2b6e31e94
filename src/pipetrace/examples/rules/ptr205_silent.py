"""Features are brought to dimension 1 before they are dropped."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x, y = torch.randn(64, 5, 8), torch.randint(0, 3, (64,))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(8, 16), nn.Linear(16, 3)
        self.drop = nn.Dropout1d(0.3)
        self.rnn = nn.GRU(16, 16, batch_first=True)

    def forward(self, x):
        h = torch.tanh(self.inp(x)).transpose(1, 2)
        h = self.drop(h).transpose(1, 2)
        return self.out(self.rnn(h)[0][:, -1])


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
