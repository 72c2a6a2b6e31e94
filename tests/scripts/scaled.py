"""A GradScaler, two terms in the loss, and two micro-batches for every step."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(110)
x = torch.randn(64, 4)
y = x.sum(1, keepdim=True)
loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
scaler = torch.amp.GradScaler(device="cpu", init_scale=128.0)
criterion, accumulate = nn.MSELoss(), 2
TRUTH = [[]]
for epoch in range(3):
    total = 0.0
    for number, (xb, yb) in enumerate(loader, 1):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(model(xb).float(), yb)
        loss = loss + 1e-3 * sum(p.square().sum() for p in model.parameters())
        scaler.scale(loss / accumulate).backward()
        if number % accumulate == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        total += loss.item()
    TRUTH[0].append(total / len(loader))
    print(epoch, TRUTH[0][-1].hex(), scaler.get_scale())
digest(model)
