import hashlib
import os

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

model = DistributedDataParallel(
    nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2)
    )
)
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
