"""L-BFGS on mini-batches: every step calls the model as often as it likes."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(111)
x = torch.randn(60, 3)
y = (x[:, 0] * 2 > x[:, 1]).float().unsqueeze(1)
loader = DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True)
model = nn.Linear(3, 1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4, history_size=5)
criterion = nn.BCEWithLogitsLoss()
TRUTH = [[]]
for epoch in range(3):
    total = 0.0
    for xb, yb in loader:

        def closure():
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            return loss

        total += optimizer.step(closure).item() * len(xb)
    TRUTH[0].append(total / 60)
    print(epoch, TRUTH[0][-1].hex())
digest(model)
