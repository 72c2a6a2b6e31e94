"""Pretrains an autoencoder, then freezes its encoder and trains a classifier on top."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(121)
x = torch.randn(80, 6)
y = (x[:, 0] > 0).long()
loader = DataLoader(TensorDataset(x[:60], y[:60]), batch_size=20, shuffle=True)
encoder, decoder = nn.Sequential(nn.Linear(6, 4), nn.Tanh()), nn.Linear(4, 6)
TRUTH, HELD = [[], []], []
autoencoder = nn.Sequential(encoder, decoder)
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=0.01)
for epoch in range(2):
    total = 0.0
    for xb, _ in loader:
        loss = F.mse_loss(autoencoder(xb), xb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 3
    TRUTH[0].append(total)
encoder.requires_grad_(False)
classifier = nn.Sequential(encoder, nn.Linear(4, 2))
optimizer = torch.optim.Adam((p for p in classifier.parameters() if p.requires_grad), lr=0.05)
for epoch in range(3):
    total = 0.0
    for xb, yb in loader:
        loss = F.cross_entropy(classifier(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 3
    TRUTH[1].append(total)
    with torch.no_grad():
        HELD.append(F.cross_entropy(classifier(x[60:]), y[60:]).item())
print([loss.hex() for loss in TRUTH[0] + TRUTH[1] + HELD])
digest(autoencoder, classifier)
