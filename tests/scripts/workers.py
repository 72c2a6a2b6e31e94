"""Batches made by two worker processes."""

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Noisy(Dataset):
    def __init__(self):
        self.x = torch.randn(96, 4)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] + 0.1 * torch.randn(4), (self.x[i, 0] > 0).long()


def main():
    torch.set_num_threads(1)
    torch.manual_seed(29)
    dataset = Noisy()
    loader = DataLoader(dataset, batch_size=16, shuffle=True, num_workers=2)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(2):
        for x, y in loader:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(epoch, repr(loss.item()))
    digest(model)


if __name__ == "__main__":
    main()
