"""A plain loop over what Lightning Fabric has set up."""

import torch
from digest import digest
from lightning import fabric, seed_everything
from rows import BATCH, network, report, rows
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

seed_everything(2, verbose=False)
x, y, held_x, held_y = rows()
room = fabric.Fabric(accelerator="cpu")
model = network()
model, optimizer = room.setup(model, torch.optim.AdamW(model.parameters(), lr=0.01))
batches, held_batches = room.setup_dataloaders(
    DataLoader(TensorDataset(x, y), BATCH, shuffle=True),
    DataLoader(TensorDataset(held_x, held_y), BATCH),
)
told = {"steps": [], "loss": [], "heldout": [], "accuracy": []}
for epoch in range(3):
    model.train()
    total = 0.0
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        room.backward(loss)
        optimizer.step()
        told["steps"].append(loss.item())
        total += loss.item() * len(targets)
    told["loss"].append(total / len(x))
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for inputs, targets in held_batches:
            logits = model(inputs)
            total += F.cross_entropy(logits, targets).item() * len(targets)
            right += (logits.argmax(1) == targets).sum().item()
    told["heldout"].append(total / len(held_x))
    told["accuracy"].append(right / len(held_x))
report(**told)
digest(model)
