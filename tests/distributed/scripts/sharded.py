import hashlib
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
for layer in (model[0], model[3], model):
    fully_shard(layer, mesh=mesh)
torch.manual_seed(100 + rank)
rows = torch.randn(96, 6)
truth = (rows[:, 0] > 0).long()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    model.train()
    for start in range(0, 96, 16):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(rows[start : start + 16]), truth[start : start + 16])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        worst = F.cross_entropy(model(rows), truth)


class Centred(nn.Module):
    def forward(self, x):
        mean = x.detach().mean(0)
        dist.all_reduce(mean)
        return x - mean / 2


other = nn.Sequential(nn.Linear(6, 4), Centred(), nn.Dropout(0.5), nn.Linear(4, 2))
optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
for epoch in range(2):
    other.train()
    for start in range(0, 96, 16):
        optimizer.zero_grad()
        F.cross_entropy(other(rows[start : start + 16]), truth[start : start + 16]).backward()
        optimizer.step()
digest = hashlib.sha256()
for parameter in model.parameters():
    digest.update(parameter.to_local().detach().numpy().tobytes())
for tensor in (*other.state_dict().values(), loss.detach(), worst, torch.get_rng_state()):
    digest.update(tensor.numpy().tobytes())
with open(f"{os.environ['DIGESTS']}.{rank}", "w") as file:
    file.write(digest.hexdigest())
dist.barrier()
dist.destroy_process_group()
