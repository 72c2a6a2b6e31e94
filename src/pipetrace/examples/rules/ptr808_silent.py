"""The mean is taken over the tokens that the mask leaves."""

import torch
from torch import nn

torch.manual_seed(0)
ids = torch.randint(1, 12, (64, 7)) * (torch.arange(7) < torch.randint(2, 8, (64, 1)))
y = (ids[:, 0] > 5).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(12, 8), nn.Linear(8, 2)

    def forward(self, ids, mask):
        kept = mask[..., None].float()
        return self.out((self.embedding(ids) * kept).sum(1) / kept.sum(1))


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for rows in range(0, 64, 16):
    batch = ids[rows : rows + 16]
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch, batch != 0), y[rows : rows + 16])
    loss.backward()
    optimizer.step()
print(loss.item())
