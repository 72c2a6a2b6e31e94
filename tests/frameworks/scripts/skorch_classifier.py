"""A skorch NeuralNetClassifier, which holds a fifth of its rows out by itself."""

import torch
from digest import digest
from rows import BATCH, network, report, rows
from skorch import NeuralNetClassifier
from torch import nn

torch.manual_seed(4)
x, y, held_x, held_y = rows()
net = NeuralNetClassifier(
    network(),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.02,
    max_epochs=3,
    batch_size=BATCH,
    iterator_train__shuffle=True,
    verbose=0,
)
net.fit(x.numpy(), y.numpy())
report(
    steps=[batch["train_loss"] for epoch in net.history for batch in epoch["batches"]
           if "train_loss" in batch],
    loss=[epoch["train_loss"] for epoch in net.history],
    heldout=[epoch["valid_loss"] for epoch in net.history],
    accuracy=[epoch["valid_acc"] for epoch in net.history],
)  # fmt: skip
digest(net.module_)
