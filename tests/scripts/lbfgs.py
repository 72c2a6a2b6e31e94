"""L-BFGS: one step calls the model several times through a closure."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(41)
x = torch.linspace(-2, 2, 40).unsqueeze(1)
y = x**3 - x
model = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)
criterion = nn.MSELoss()


def closure():
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    return loss


for step in range(4):
    loss = optimizer.step(closure)
    print(step, loss.item().hex())
digest(model)
