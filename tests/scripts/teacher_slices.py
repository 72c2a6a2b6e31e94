"""A teacher is asked first at every step of a loop over slices, and slices are evaluated."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(127)
x = torch.randn(96, 6)
y = (x[:, 0] > 0).long()
teacher, student = nn.Linear(6, 2), nn.Linear(6, 2)
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
TRUTH, HELD = [[]], []
for epoch in range(3):
    total = 0.0
    for start in range(0, 64, 16):
        rows = x[start : start + 16]
        with torch.no_grad():
            soft = teacher(rows).softmax(1)
        loss = F.cross_entropy(student(rows), soft)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 4
    TRUTH[0].append(total)
    with torch.no_grad():
        HELD.append(sum(F.cross_entropy(student(x[i : i + 8]), y[i : i + 8]).item() / 4
                        for i in range(64, 96, 8)))  # fmt: skip
    print(epoch, total.hex(), HELD[-1].hex())
digest(student, teacher)
