"""A GAN: the discriminator learns from real and generated rows, then the generator from it."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(106)
loader = DataLoader(TensorDataset(torch.randn(72, 3) + 2), batch_size=16, shuffle=True)
generator = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))
discriminator = nn.Sequential(nn.Linear(3, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1))
optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.01)
optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.01)
criterion = nn.BCEWithLogitsLoss()
TRUTH, RIGHT = [[]], []
for epoch in range(3):
    total, right = 0.0, 0
    for (real,) in loader:
        fake = generator(torch.randn(len(real), 4))
        on_real, on_fake = discriminator(real), discriminator(fake.detach())
        loss_d = criterion(on_real, torch.ones_like(on_real))
        loss_d = loss_d + criterion(on_fake, torch.zeros_like(on_fake))
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        judged = discriminator(fake)
        loss_g = criterion(judged, torch.ones_like(judged))
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        total += loss_d.item() * len(real)
        right += int((on_real > 0).sum() + (on_fake <= 0).sum())
    TRUTH[0].append(total / 72)
    RIGHT.append(right / 144)
    print(epoch, TRUTH[0][-1].hex(), RIGHT[-1], loss_g.item().hex())
digest(generator, discriminator)
