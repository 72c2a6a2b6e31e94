"""A new model and optimizer for each of three folds."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(31)
x = torch.randn(90, 5)
y = (x[:, 0] * x[:, 1] > 0).long()
folds = torch.arange(90) % 3
models = []
for fold in range(3):
    x_train, y_train = x[folds != fold], y[folds != fold]
    x_valid, y_valid = x[folds == fold], y[folds == fold]
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(3):
        model.train()
        for batch in torch.randperm(len(x_train)).split(20):
            loss = F.cross_entropy(model(x_train[batch]), y_train[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            score = (model(x_valid).argmax(1) == y_valid).float().mean()
        print(fold, epoch, repr(loss.item()), repr(score.item()))
    models.append(model)
digest(*models)
