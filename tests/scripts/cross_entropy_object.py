"""The way the tutorials do it: CrossEntropyLoss, DataLoader, a running mean."""

import torch
import torch.nn as nn
import torch.optim as optim
from digest import digest
from torch.utils.data import DataLoader, Dataset, random_split


class Points(Dataset):
    def __init__(self, n):
        self.x = torch.rand(n, 2) * 2 - 1
        self.y = (self.x.norm(dim=1) > 0.8).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


torch.set_num_threads(1)
torch.manual_seed(42)
trainset, valset = random_split(Points(300), [240, 60])
trainloader = DataLoader(trainset, batch_size=30, shuffle=True)
valloader = DataLoader(valset, batch_size=30)

net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Dropout(p=0.1), nn.Linear(32, 2))
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

for epoch in range(3):
    running_loss = 0.0
    net.train()
    for i, batch in enumerate(trainloader, 0):
        inputs, labels = batch
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print("[%d] loss: %r" % (epoch + 1, running_loss / len(trainloader)))

    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in valloader:
            _, predicted = torch.max(net(inputs), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    print("accuracy", correct / total)
print("Finished Training")
digest(net)
