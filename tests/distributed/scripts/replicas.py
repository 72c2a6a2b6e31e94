import hashlib
import os
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
rows = torch.randn(192, 6)
data = TensorDataset(rows, (rows[:, 0] > 0).long())
held = torch.randn(40, 6)


class Centred(nn.Module):
    def forward(self, x):
        mean = x.detach().mean(0)
        dist.all_reduce(mean)
        return x - mean / 2


norm = Centred() if "together" in sys.argv else nn.BatchNorm1d(16)
model = DistributedDataParallel(
    nn.Sequential(nn.Linear(6, 16), norm, nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
)
if "same" not in sys.argv:
    torch.manual_seed(100 + rank)
sampler = DistributedSampler(data)
loader = DataLoader(data, batch_size=16, sampler=sampler)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    sampler.set_epoch(epoch)
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    if "drift" in sys.argv and epoch == 1 and rank == 1:
        with torch.no_grad():
            model.module[0].weight[0, 0] += 0.5
    model.eval()
    with torch.no_grad():
        worst = F.cross_entropy(model(held), (held[:, 0] > 0).long())
digest = hashlib.sha256()
for tensor in (*model.state_dict().values(), loss.detach(), worst, torch.get_rng_state()):
    digest.update(tensor.numpy().tobytes())
with open(f"{os.environ['DIGESTS']}.{rank}", "w") as file:
    file.write(digest.hexdigest())
dist.barrier()
dist.destroy_process_group()
