"""An ordinary training loop: it knows nothing of who may watch it."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pipetrace.errors import PipetraceError
from pipetrace.pipeline.prepare import Prepared
from pipetrace.pipeline.progress import Moment, Progress
from pipetrace.pipeline.split import require_seed

EPOCHS = 20


def build(
    inputs: int, outputs: int, *, hidden: Sequence[int] = (10,), dropout: float = 0.3
) -> nn.Sequential:
    """Build dropout on the inputs, then linear layers with ReLU between them.

    Args:
        inputs: Number of inputs of a row.
        outputs: Number of classes, or 1 for a value.
        hidden: Width of each hidden layer; none gives a linear model.
        dropout: Probability that an input is dropped in training, in [0, 1).

    Raises:
        PipetraceError: a width or the probability is out of range.

    >>> build(4, 3, hidden=(8,), dropout=0.1)
    Sequential(
      (0): Dropout(p=0.1, inplace=False)
      (1): Linear(in_features=4, out_features=8, bias=True)
      (2): ReLU()
      (3): Linear(in_features=8, out_features=3, bias=True)
    )
    """
    require_layers(hidden, dropout)
    widths = (inputs, *hidden, outputs)
    layers: list[nn.Module] = [nn.Dropout(dropout)]
    for index in range(len(widths) - 1):
        if index:
            layers.append(nn.ReLU())
        layers.append(nn.Linear(widths[index], widths[index + 1]))
    return nn.Sequential(*layers)


def train(
    prepared: Prepared,
    *,
    hidden: Sequence[int] = (10,),
    dropout: float = 0.3,
    epochs: int = EPOCHS,
    seed: int = 0,
    batch: int = 32,
    rate: float = 0.01,
    each_epoch: Callable[[Iterable[int]], Iterable[int]] | None = None,
    progress: Callable[[Moment], object] | None = None,
) -> nn.Sequential:
    """Train a model on the training part, and evaluate it on the held-out part each epoch.

    The caller's torch RNG stream is left as it was found.

    Args:
        prepared: The table.
        hidden: Width of each hidden layer.
        dropout: Probability that an input is dropped in training, in [0, 1).
        epochs: Passes over the training part, at least 1.
        seed: Decides the initial weights, the order of the rows and the masks.
        batch: Rows in a batch, at least 1.
        rate: Learning rate of Adam, above 0.
        each_epoch: Wraps `range(epochs)`, for example to mark where an epoch begins.
        progress: Called at most ten times a second with how far the training is.

    Returns:
        The model, in eval mode; it gives logits, or the standardised value.

    Raises:
        PipetraceError: a setting is out of range.
    """
    require_settings(
        hidden=hidden, dropout=dropout, epochs=epochs, seed=seed, batch=batch, rate=rate
    )
    classes = prepared.task == "classes"
    outputs = len(prepared.classes) if classes else 1
    loss_of = functional.cross_entropy if classes else functional.mse_loss
    inputs, targets = prepared.train_inputs, _shaped(prepared.train_targets)
    heldout = (prepared.heldout_inputs, _shaped(prepared.heldout_targets))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed reaches GPU streams as well
        model = build(inputs.shape[1], outputs, hidden=hidden, dropout=dropout)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        numbered: Iterable[int] = range(epochs)
        steps = -(-len(inputs) // batch)
        told = progress and Progress(progress, epochs=epochs, steps=steps, rate=rate)
        for _ in numbered if each_epoch is None else each_epoch(numbered):
            model.train()
            order = torch.randperm(len(inputs))
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                loss = loss_of(model(inputs[rows]), targets[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
                optimizer.step()
                if told is not None:
                    told.step(loss)
            model.eval()
            with torch.no_grad():
                loss_of(model(heldout[0]), heldout[1])
    return model


def require_layers(hidden: Any, dropout: Any) -> None:
    """Refuse widths and a dropout probability that no model can have.

    Raises:
        PipetraceError: a width or the probability is out of range.
    """
    if not _is_number(dropout) or not 0 <= dropout < 1:
        raise PipetraceError(
            f"The dropout is {dropout!r}: write a probability from 0 up to, but not including, 1, "
            "for example 0.3 (for 30 %)."
        )
    if not isinstance(hidden, (list, tuple)):
        raise PipetraceError(
            f"The hidden layers are {hidden!r}: write a sequence of widths, for example (64, 32)."
        )
    for width in hidden:
        _require_count("A hidden layer's width", width, "for example 10")


def require_settings(
    *, hidden: Any, dropout: Any, epochs: Any, seed: Any, batch: Any = 32, rate: Any = 0.01
) -> None:
    """Refuse settings that `train` cannot train with, before anything is read or written.

    Raises:
        PipetraceError: a setting is out of range.
    """
    require_layers(hidden, dropout)
    _require_count("The number of epochs", epochs, "for example 20")
    _require_count("The batch size", batch, "for example 32")
    require_seed(seed)
    if not _is_number(rate) or not 0 < rate < float("inf"):
        raise PipetraceError(
            f"The learning rate is {rate!r}: write a number above 0, for example 0.01."
        )


def _shaped(targets: torch.Tensor) -> torch.Tensor:
    """Give values the shape (rows, 1) of a model with one output; class indices keep theirs."""
    return targets.unsqueeze(1) if targets.is_floating_point() else targets


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _require_count(what: str, value: Any, example: str) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise PipetraceError(f"{what} is {value!r}: write a whole number of at least 1, {example}.")
