"""The loss leaves padding out."""

import torch
from torch import nn

torch.manual_seed(0)
ids = torch.randint(1, 12, (64, 9)) * (torch.arange(9) < torch.randint(2, 10, (64, 1)))
x, y = ids[:, :-1], ids[:, 1:]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 8, padding_idx=0)
        self.rnn, self.out = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 12)

    def forward(self, ids):
        return self.out(self.rnn(self.embedding(ids))[0]).transpose(1, 2)


model = Net()
loss_fn = nn.CrossEntropyLoss(ignore_index=0)
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
