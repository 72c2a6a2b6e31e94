"""A generator against a discriminator, each with its own optimizer."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(19)
real_rows = torch.randn(160, 2) * 0.5 + torch.tensor([2.0, -1.0])
generator = nn.Sequential(nn.Linear(3, 16), nn.LeakyReLU(0.2), nn.Linear(16, 2))
discriminator = nn.Sequential(
    nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1), nn.Sigmoid()
)
optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.999))
optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.01, betas=(0.5, 0.999))
bce = nn.BCELoss()

for epoch in range(3):
    for real in torch.utils.data.DataLoader(real_rows, batch_size=32, shuffle=True):
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        optimizer_d.zero_grad()
        fake = generator(torch.randn(len(real), 3))
        loss_d = bce(discriminator(real), ones) + bce(discriminator(fake.detach()), zeros)
        loss_d.backward()
        optimizer_d.step()

        optimizer_g.zero_grad()
        loss_g = bce(discriminator(fake), ones)
        loss_g.backward()
        optimizer_g.step()
    print(epoch, repr(loss_d.item()), repr(loss_g.item()))
digest(generator, discriminator)
