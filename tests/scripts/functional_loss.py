"""`from torch.nn.functional import ...`: the loss is taken by name."""

import torch
from digest import digest
from torch import nn
from torch.nn.functional import cross_entropy, dropout, gelu
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x):
        h = gelu(self.up(self.norm(x)))
        return x + dropout(self.down(h), 0.1, training=self.training)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.head = nn.Linear(16, 4)

    def forward(self, tokens):
        return self.head(self.blocks(self.embed(tokens)).mean(1))


def fit(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    for epoch in range(epochs):
        for tokens, target in loader:
            loss = cross_entropy(model(tokens), target, label_smoothing=0.05)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield epoch, loss


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(7)
    tokens = torch.randint(20, (128, 5))
    target = tokens.max(1).values % 4
    classifier = Classifier()
    for epoch, loss in fit(classifier, DataLoader(TensorDataset(tokens, target), 32, True), 3):
        print(epoch, repr(loss.item()))
    digest(classifier)
