"""Tensors and autograd, but no nn.Module anywhere."""

import torch
from digest import digest

torch.set_num_threads(1)
torch.manual_seed(53)
a = torch.randn(3, requires_grad=True)
target = torch.tensor([1.0, 2.0, 3.0])
for step in range(5):
    loss = ((a - target) ** 2).sum()
    loss.backward()
    with torch.no_grad():
        a -= 0.1 * a.grad
        a.grad = None
    print(step, loss.item().hex())
digest()
