"""A plain loop over what Accelerate has prepared, with gradients of two batches in a step."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from digest import digest
from rows import BATCH, network, report, rows
from torch.nn import functional as F
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import DataLoader, TensorDataset

set_seed(3)
x, y, held_x, held_y = rows()
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
model, optimizer, batches, held_batches, schedule = accelerator.prepare(
    model,
    optimizer,
    DataLoader(TensorDataset(x, y), BATCH, shuffle=True),
    DataLoader(TensorDataset(held_x, held_y), BATCH),
    LinearLR(optimizer, total_iters=9),
)
told = {"loss": [], "heldout": [], "accuracy": []}
for epoch in range(3):
    model.train()
    total = 0.0
    for inputs, targets in batches:
        with accelerator.accumulate(model):
            loss = F.cross_entropy(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        total += loss.item() * len(targets)
    told["loss"].append(total / len(x))
    model.eval()
    total, right = 0.0, 0
    for inputs, targets in held_batches:
        with torch.no_grad():
            logits, truth = accelerator.gather_for_metrics((model(inputs), targets))
        total += F.cross_entropy(logits, truth).item() * len(truth)
        right += (logits.argmax(1) == truth).sum().item()
    told["heldout"].append(total / len(held_x))
    told["accuracy"].append(right / len(held_x))
report(**told)
digest(model)
