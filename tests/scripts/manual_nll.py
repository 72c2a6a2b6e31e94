"""Everything by hand: parameters updated without an optimizer, the loss by indexing."""

import torch
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)
g = torch.Generator().manual_seed(2147483647)
xs = torch.randint(0, 27, (256, 3), generator=g)
ys = (xs.sum(1) * 7) % 27


class Names(nn.Module):
    def __init__(self):
        super().__init__()
        self.C = nn.Parameter(torch.randn((27, 8), generator=g))
        self.W1 = nn.Parameter(torch.randn((24, 40), generator=g) * 0.2)
        self.b1 = nn.Parameter(torch.zeros(40))
        self.W2 = nn.Parameter(torch.randn((40, 27), generator=g) * 0.01)

    def forward(self, ix):
        emb = self.C[ix].view(-1, 24)
        h = torch.tanh(emb @ self.W1 + self.b1)
        return h @ self.W2


model = Names()
for i in range(30):
    ix = torch.randint(0, xs.shape[0], (32,), generator=g)
    logits = model(xs[ix])
    counts = logits.exp()
    p = counts / counts.sum(1, keepdim=True)
    loss = -p[range(32), ys[ix]].log().mean()
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()
    for parameter in model.parameters():
        parameter.data += -0.3 * parameter.grad
    if i % 5 == 0:
        print(f"{i:3d} {loss.item()!r}")
digest(model)
