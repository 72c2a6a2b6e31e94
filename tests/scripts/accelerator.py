"""A convolutional net in mixed precision, on the accelerator where there is one."""

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from digest import digest
from torch import nn
from torch.nn import functional as F

torch.manual_seed(11)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
kind = torch.bfloat16

model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    nn.Dropout2d(0.2),
    nn.Flatten(),
    nn.Dropout(0.3),
    nn.Linear(8 * 8 * 8, 4),
).to(device)
x = torch.randn(96, 1, 8, 8)
y = (x.mean((1, 2, 3)) > 0).long() + 2 * (x[:, 0, 0, 0] > 0).long()
train_x, train_y, held_x, held_y = x[:64], y[:64], x[64:].to(device), y[64:].to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(3):
    model.train()
    for rows in torch.randperm(64).split(16):
        with torch.autocast(device.type, dtype=kind):
            loss = F.cross_entropy(model(train_x[rows].to(device)), train_y[rows].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
    model.eval()
    with torch.inference_mode():
        print("held out", F.cross_entropy(model(held_x), held_y).item().hex())
if device.type == "cuda":
    print(torch.cuda.get_rng_state().sum().item())
digest(model)
