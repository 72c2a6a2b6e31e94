"""Gradients of four small batches make one step."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(17)
x = torch.randn(128, 6)
y = (x.abs().sum(1) > 4.5).long()
loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
ACCUMULATE = 4

for epoch in range(3):
    model.train()
    total = 0.0
    optimizer.zero_grad()
    for step, (inputs, labels) in enumerate(loader, start=1):
        loss = F.cross_entropy(model(inputs), labels) / ACCUMULATE
        loss.backward()
        total += loss.item()
        if step % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
    print(epoch, repr(total / len(loader) * ACCUMULATE))
digest(model)
