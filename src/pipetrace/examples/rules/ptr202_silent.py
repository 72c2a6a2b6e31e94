"""An autoencoder fills in what is missing: most of its input is dropped on purpose."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(64, 8)

model = nn.Sequential(
    nn.Dropout(0.75),
    nn.Linear(8, 16),
    nn.ReLU(),
    nn.Linear(16, 8),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    model.train()
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x[rows : rows + 16]), x[rows : rows + 16])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.mse_loss(model(x[48:]), x[48:]).item())
