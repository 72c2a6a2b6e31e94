"""A variational autoencoder: a summed reconstruction loss and a divergence."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader

torch.set_num_threads(1)
torch.manual_seed(118)
rows = torch.rand(80, 12)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(12, 8), nn.Linear(4, 12)

    def forward(self, x):
        mean, log_variance = self.encode(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return torch.sigmoid(self.decode(z)), mean, log_variance


def loss_function(decoded, x, mean, log_variance):
    reconstruction = F.binary_cross_entropy(decoded, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return reconstruction + divergence


train = DataLoader(rows[:60], batch_size=16, shuffle=True)
test = DataLoader(rows[60:], batch_size=16)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
TRUTH = [[]]
for epoch in range(3):
    model.train()
    total = 0.0
    for x in train:
        optimizer.zero_grad()
        loss = loss_function(*(out := model(x))[:1], x, *out[1:])
        loss.backward()
        optimizer.step()
        total += loss.item()
    TRUTH[0].append(total / 60)
    model.eval()
    with torch.no_grad():
        tested = sum(loss_function(*(out := model(x))[:1], x, *out[1:]).item() for x in test)
    print(epoch, TRUTH[0][-1].hex(), tested.hex())
digest(model)
