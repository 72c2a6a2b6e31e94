"""Two noisy views of every row through one encoder, and a loss over their similarities."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader

torch.set_num_threads(1)
torch.manual_seed(119)
loader = DataLoader(torch.randn(64, 6), batch_size=16, shuffle=True)
encoder = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8))
optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
TRUTH = [[]]
for epoch in range(3):
    total = 0.0
    for x in loader:
        one = F.normalize(encoder(x + 0.1 * torch.randn_like(x)), dim=1)
        other = F.normalize(encoder(x + 0.1 * torch.randn_like(x)), dim=1)
        similar = one @ other.t() / 0.2
        targets = torch.arange(len(x))
        loss = (F.cross_entropy(similar, targets) + F.cross_entropy(similar.t(), targets)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    TRUTH[0].append(total / len(loader))
    print(epoch, TRUTH[0][-1].hex())
digest(encoder)
