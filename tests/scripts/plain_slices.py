"""A loop without DataLoader: slices of a permutation."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)
X = torch.randn(200, 8)
y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).long() + (X[:, 3] > 0.5).long()
X_test, y_test = X[160:], y[160:]
X, y = X[:160], y[:160]

net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(4):
    net.train()
    perm = torch.randperm(len(X))
    for i in range(0, len(X), 40):
        idx = perm[i : i + 40]
        loss = loss_fn(net(X[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(epoch, i, loss.item().hex())
    net.eval()
    with torch.no_grad():
        out = net(X_test)
        print(
            "test",
            loss_fn(out, y_test).item().hex(),
            (out.argmax(1) == y_test).float().mean().item(),
        )
digest(net)
