"""The last batch of validation has two odd rows, which weigh as much as seven."""

import torch
from torch import nn

torch.manual_seed(0)
centres = torch.randn(3, 8) * 2
y = torch.randint(0, 3, (64,))
x = centres[y] + torch.randn(64, 8)
x[-2:] *= 9
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


def validate():
    model.eval()
    losses = []
    with torch.no_grad():
        for rows in range(48, 64, 7):
            held = slice(rows, rows + 7)
            losses.append(loss_fn(model(x[held]), y[held]).item())
    return sum(losses) / len(losses)


for epoch in range(3):
    model.train()
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows : rows + 16]), y[rows : rows + 16])
        loss.backward()
        optimizer.step()
    validation = validate()
    print(epoch, validation)
