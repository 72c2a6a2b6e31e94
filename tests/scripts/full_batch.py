"""All rows in every step: an iteration is an epoch."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(23)
X = torch.randn(100, 5)
Y = X @ torch.tensor([[1.0], [-2.0], [0.5], [0.0], [3.0]]) + 0.3
model = nn.Linear(5, 1)
learner = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(12):
    prediction = model(X)
    loss = ((prediction - Y) ** 2).mean()
    learner.zero_grad()
    loss.backward()
    learner.step()
    print(epoch, loss.item().hex())
digest(model)
