"""A LightningModule under the Trainer: sanity check, scheduler, validation each epoch."""

import logging
import warnings

import lightning
import torch
from digest import digest
from rows import BATCH, network, report, rows
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
lightning.seed_everything(1, verbose=False)
x, y, held_x, held_y = rows()
told = {"steps": [], "loss": [], "heldout": [], "accuracy": []}


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = network()

    def training_step(self, batch, index):
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        told["steps"].append(loss.item())
        return loss

    def validation_step(self, batch, index):
        logits = self.network(batch[0])
        self.log("heldout", F.cross_entropy(logits, batch[1]))
        self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


class Watcher(lightning.Callback):
    def on_train_epoch_end(self, trainer, module):
        for name in ("loss", "heldout", "accuracy"):
            told[name].append(trainer.callback_metrics[name].item())


model = Classifier()
trainer = lightning.Trainer(
    max_epochs=3,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[Watcher()],
)
trainer.fit(
    model,
    DataLoader(TensorDataset(x, y), BATCH, shuffle=True),
    DataLoader(TensorDataset(held_x, held_y), BATCH),
)
report(**told)
digest(model)
