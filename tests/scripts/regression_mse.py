"""A regression with mean squared error."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(11)
x = torch.linspace(-3, 3, 200).unsqueeze(1)
y = torch.sin(x) + 0.1 * torch.randn_like(x)
shuffled = torch.randperm(200)
train, test = shuffled[:160], shuffled[160:]
train_dl = DataLoader(TensorDataset(x[train], y[train]), batch_size=16, shuffle=True)
valid_dl = DataLoader(TensorDataset(x[test], y[test]), batch_size=40)

model = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Dropout(0.05), nn.Linear(32, 1))
mse = nn.MSELoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.005)

history = []
for epoch in range(5):
    model.train()
    losses = []
    for xb, yb in train_dl:
        optimizer.zero_grad()
        loss = mse(model(xb), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        valid = sum(mse(model(xb), yb).item() for xb, yb in valid_dl) / len(valid_dl)
    history.append((sum(losses) / len(losses), valid))
    print(epoch, *map(repr, history[-1]))
digest(model)
