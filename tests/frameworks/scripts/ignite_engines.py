"""Ignite's supervised trainer, and its evaluator on the held-out rows after each epoch."""

import torch
from digest import digest
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss
from rows import BATCH, network, report, rows
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(8)
x, y, held_x, held_y = rows()
model, criterion = network(), nn.CrossEntropyLoss()
trainer = create_supervised_trainer(
    model,
    torch.optim.RMSprop(model.parameters(), lr=0.01),
    criterion,
    output_transform=lambda x, y, logits, loss: (logits.detach(), y, loss.item()),
)
Loss(criterion, output_transform=lambda out: out[:2]).attach(trainer, "loss")
evaluator = create_supervised_evaluator(
    model, metrics={"loss": Loss(criterion), "accuracy": Accuracy()}
)
held_batches = DataLoader(TensorDataset(held_x, held_y), BATCH)
told = {"steps": [], "loss": [], "heldout": [], "accuracy": []}


@trainer.on(Events.ITERATION_COMPLETED)
def keep(engine):
    told["steps"].append(engine.state.output[2])


@trainer.on(Events.EPOCH_COMPLETED)
def evaluate(engine):
    found = evaluator.run(held_batches).metrics
    told["loss"].append(engine.state.metrics["loss"])
    told["heldout"].append(found["loss"])
    told["accuracy"].append(found["accuracy"])


trainer.run(DataLoader(TensorDataset(x, y), BATCH, shuffle=True), max_epochs=3)
report(**told)
digest(model)
