"""The second linear layer does not fit what epoch 2 gives it."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 2)
        self.wide = False

    def forward(self, x):
        x = F.relu(self.first(x))
        if self.wide:
            x = torch.cat([x, x[:, :2]], dim=1)
        return self.second(x)


torch.set_num_threads(1)
torch.manual_seed(43)
rows = torch.randn(40, 6)
loader = DataLoader(TensorDataset(rows, (rows[:, 0] > 0).long()), batch_size=10)
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(1, 4):
    model.wide = epoch == 2
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, repr(loss.item()))
