"""Trains an ensemble in one `vmap` of `torch.func`, and one more model the common way."""

import copy

import torch
from digest import digest
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

torch.set_num_threads(1)
torch.manual_seed(71)
x = torch.randn(96, 8)
y = x[:, :3].argmax(1)
models = [nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)) for _ in range(3)]
parameters, buffers = stack_module_state(models)
skeleton = copy.deepcopy(models[0])


def loss(parameters, buffers, rows):
    return F.cross_entropy(functional_call(skeleton, (parameters, buffers), (x[rows],)), y[rows])


for _epoch in range(3):
    for rows in torch.randperm(64).split(32):
        gradients = vmap(grad(loss), in_dims=(0, 0, None))(parameters, buffers, rows)
        parameters = {name: (value - 0.2 * gradients[name]).detach().requires_grad_()
                      for name, value in parameters.items()}  # fmt: skip
model = models[0]
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
for epoch in range(3):
    for rows in torch.randperm(64).split(32):
        value = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    with torch.no_grad():
        print(epoch, repr(F.cross_entropy(model(x[64:]), y[64:]).item()))
print(repr(sum(value.sum().item() for value in parameters.values())))
digest(model)
