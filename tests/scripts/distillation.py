"""A student learns from labels and from a teacher that is asked at every step."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(108)
x = torch.randn(96, 6)
y = (x[:, :3].sum(1) > 0).long()
train = DataLoader(TensorDataset(x[:64], y[:64]), batch_size=16, shuffle=True)
valid = DataLoader(TensorDataset(x[64:], y[64:]), batch_size=16)
teacher = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2)).eval()
student = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
TRUTH, HELD, T, alpha = [[]], [], 2.0, 0.7
for epoch in range(3):
    student.train()
    total = 0.0
    for xb, yb in train:
        with torch.no_grad():
            soft = F.softmax(teacher(xb) / T, dim=1)
        logits = student(xb)
        kl = F.kl_div(F.log_softmax(logits / T, dim=1), soft, reduction="batchmean")
        loss = alpha * T * T * kl + (1 - alpha) * F.cross_entropy(logits, yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    TRUTH[0].append(total / 64)
    student.eval()
    with torch.no_grad():
        HELD.append(sum(F.cross_entropy(student(a), b).item() * len(a) for a, b in valid) / 32)
    print(epoch, TRUTH[0][-1].hex(), HELD[-1].hex())
digest(student, teacher)
