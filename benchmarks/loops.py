"""The seed model trained by our own loop and by other libraries, with equal work in an epoch."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import pipetrace
from measure import Cost
from pipetrace.examples import dropout
from pipetrace.pipeline.prepare import Prepared
from pipetrace.pipeline.train import build, train
from pipetrace.session import Session

EPOCHS = 6
"""Epochs that are timed; an epoch goes from its beginning to the next one's."""
SETTLED = 12
"""Epochs after which the deep captures and the probes of the first epochs are over."""
BATCH, RATE = 32, 0.01


class Clock:
    """Notes the processor time at which each epoch begins."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def tick(self, *_: Any, **__: Any) -> None:
        """An epoch begins, or all are over."""
        self.times.append(time.process_time())

    def per_epoch(self) -> float:
        """Return the median of the last epochs."""
        ends = self.times[-EPOCHS - 1 :]
        return statistics.median(end - start for start, end in itertools.pairwise(ends))

    def around(self, numbers: Iterable[int]) -> Iterator[int]:
        """Tick before each number and after the last."""
        for number in pipetrace.epochs(numbers):
            self.tick()
            yield number
        self.tick()


@cache
def prepared() -> Prepared:
    """Return the example's 1000 training and 500 held-out rows as our pipeline wants them."""
    x, y, held_x, held_y = dropout.make_rows(0)
    return Prepared(
        name="seed", target="class", task="classes", train_inputs=x, train_targets=y,
        heldout_inputs=held_x, heldout_targets=held_y, classes=("0", "1", "2"),
        names=tuple(f"x{column}" for column in range(x.shape[1])), target_mean=None,
        target_std=None, facts=(),
    )  # fmt: skip


def plain() -> float:
    """Train as `pipetrace.fit` does, on slices with a fused Adam, and record nothing."""
    clock = Clock()
    train(prepared(), epochs=SETTLED + EPOCHS, rate=RATE, batch=BATCH, each_epoch=clock.around)
    return clock.per_epoch()


def recorded(folder: Path) -> float:
    """Do the same with the whole recording on."""
    file = Path(tempfile.mkdtemp(dir=folder)) / "seed.pipetrace"
    session = Session("seed", "table", file=file)
    session.begin()
    try:
        return plain()
    finally:
        session.end()
        session.writer.close()


def skorch() -> float:
    """Train with a skorch NeuralNetClassifier."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    clock = Clock()

    class Ticks(Callback):  # type: ignore[misc]  # skorch has no types
        def on_epoch_begin(self, net: Any, **_: Any) -> None:
            clock.tick()

    rows = prepared()
    net = NeuralNetClassifier(
        build(20, 3), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=RATE,
        max_epochs=EPOCHS + 1, batch_size=BATCH, iterator_train__shuffle=True,
        iterator_valid__batch_size=len(rows.heldout_inputs), verbose=0, callbacks=[Ticks()],
        train_split=predefined_split(
            Dataset(rows.heldout_inputs.numpy(), rows.heldout_targets.numpy())
        ),
    )  # fmt: skip
    net.fit(rows.train_inputs.numpy(), rows.train_targets.numpy())
    clock.tick()
    return clock.per_epoch()


def lightning() -> float:
    """Train with a Lightning Trainer."""
    import lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    clock = Clock()

    class Classifier(pl.LightningModule):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            super().__init__()
            self.network = build(20, 3)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return functional.cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=RATE)

        def on_train_epoch_start(self) -> None:
            clock.tick()

    rows = prepared()
    trainer = pl.Trainer(
        max_epochs=EPOCHS + 1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(
        Classifier(),
        DataLoader(TensorDataset(rows.train_inputs, rows.train_targets), BATCH, shuffle=True),
        DataLoader(TensorDataset(rows.heldout_inputs, rows.heldout_targets), 500),
    )
    clock.tick()
    return clock.per_epoch()


def keras() -> float:
    """Train with Keras 3 on PyTorch."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    clock, rows = Clock(), prepared()
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((20,)), layers.Dropout(0.3), layers.Dense(10, "relu"), layers.Dense(3)]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = rows.train_inputs.numpy(), rows.train_targets.numpy()
    held = rows.heldout_inputs.numpy(), rows.heldout_targets.numpy()
    model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS + 1, validation_data=held, verbose=0,
        validation_batch_size=500,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=clock.tick)],
    )  # fmt: skip
    clock.tick()
    return clock.per_epoch()


class Returning(nn.Module):
    """The seed model with its loss inside, as the Hugging Face Trainer expects it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = build(20, 3)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits."""
        logits = self.network(inputs)
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def transformers() -> float:
    """Train with the Hugging Face Trainer."""
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    clock, rows = Clock(), prepared()

    class Ticks(TrainerCallback):  # type: ignore[misc]  # it has no types
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            clock.tick()

    def items(inputs: torch.Tensor, targets: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        return [{"inputs": x, "labels": y} for x, y in zip(inputs, targets, strict=True)]

    model = Returning()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder, num_train_epochs=EPOCHS + 1, per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=500, eval_strategy="epoch", save_strategy="no",
                logging_strategy="no", disable_tqdm=True, report_to=[], use_cpu=True,
            ),
            train_dataset=items(rows.train_inputs, rows.train_targets),
            eval_dataset=items(rows.heldout_inputs, rows.heldout_targets),
            optimizers=(torch.optim.Adam(model.parameters(), lr=RATE), None),
            callbacks=[Ticks()],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    clock.tick()
    return clock.per_epoch()


@dataclass(frozen=True)
class Library:
    """Another library's loop, the package it needs, and our goal against it."""

    package: str
    train: Cost
    goal: float

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        return importlib.util.find_spec(self.package) is not None


def _quietly(train: Callable[[], float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train()


LIBRARIES = {
    "skorch": Library("skorch", partial(_quietly, skorch), 0.5),
    "Lightning": Library("lightning", partial(_quietly, lightning), 0.4),
    "Keras": Library("keras", partial(_quietly, keras), 0.2),
    "Hugging Face Trainer": Library("accelerate", partial(_quietly, transformers), 0.2),
}
