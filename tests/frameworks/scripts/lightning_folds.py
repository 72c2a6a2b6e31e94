"""Two folds, each with a Lightning Trainer of its own and its sanity check before the training."""

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
lightning.seed_everything(9, verbose=False)
x, y, _, _ = rows()
told = {"loss": [], "heldout": []}


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, inputs):
        return self.network(inputs)

    def training_step(self, batch, index):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        self.log("heldout", F.cross_entropy(self(batch[0]), batch[1]))

    def on_train_epoch_end(self):
        for name in told:
            told[name].append(self.trainer.callback_metrics[name].item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


models = []
for fold in range(2):
    inside = torch.arange(len(x)) % 2 == fold
    models.append(Classifier())
    lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(
        models[-1],
        DataLoader(TensorDataset(x[inside], y[inside]), BATCH, shuffle=True),
        DataLoader(TensorDataset(x[~inside], y[~inside]), BATCH),
    )
report(**told)
digest(*models)
