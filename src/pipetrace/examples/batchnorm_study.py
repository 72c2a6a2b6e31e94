"""The same small classifier with and without batch normalisation, under settings to compare."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES, UNITS, CLASSES = 8, 24, 2
UNITS_OF_MEASURE = torch.tensor([0.1, 0.3, 1.0, 3.0, 10.0, 0.1, 1.0, 30.0])
OFFSETS = torch.tensor([1.0, -1.0, 5.0, 0.0, 20.0, 0.0, -5.0, 100.0])


def make_rows(seed: int, scales: str = "equal") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw 384 rows to train on and 512 to hold out; four of eight features tell the class.

    Args:
        seed: of the rows.
        scales: `equal` leaves every feature with mean 0 and deviation 1; `apart` writes each in a
            unit of its own, as tables of measurements do.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(896, FEATURES, generator=generator)
    y = (torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + x[:, 3] > 0).long()
    if scales == "apart":
        x = x * UNITS_OF_MEASURE + OFFSETS
    return x[:384], y[:384], x[384:], y[384:]


def make_model(norm: str, depth: int) -> nn.Sequential:
    """Stack linear layers; `with` puts batch norm on the features and behind each hidden one."""
    layers: list[nn.Module] = [nn.BatchNorm1d(FEATURES)] if norm == "with" else []
    width = FEATURES
    for _ in range(depth):
        layers.append(nn.Linear(width, UNITS))
        if norm == "with":
            layers.append(nn.BatchNorm1d(UNITS))
        layers.append(nn.ReLU())
        width = UNITS
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def train(
    *,
    seed: int,
    norm: str = "with",
    scales: str = "apart",
    rate: float = 0.1,
    batch: int = 32,
    depth: int = 2,
    order: str = "shuffled",
    epochs: int = 6,
) -> dict[str, list[float]]:
    """Train once and return one number per epoch; equal seeds give equal rows and first weights.

    Args:
        seed: of the rows, the weights and the order of the rows.
        norm: `with` or `without` batch normalisation, which draws no random number.
        scales: of the features, see `make_rows`.
        rate: learning rate of plain gradient descent.
        batch: rows in a batch.
        depth: hidden layers.
        order: `shuffled` in each epoch, or `sorted` by class and never shuffled.
        epochs: passes over the training rows.
    """
    x, y, x_held_out, y_held_out = make_rows(seed, scales)
    if order == "sorted":
        places = y.argsort(stable=True)
        x, y = x[places], y[places]
    torch.manual_seed(seed)
    model = make_model(norm, depth)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    measured: dict[str, list[float]] = {
        "training loss": [],
        "held-out loss": [],
        "held-out accuracy": [],
    }
    for _ in range(epochs):
        model.train()
        total = 0.0
        places = torch.randperm(len(x)) if order == "shuffled" else torch.arange(len(x))
        for chosen in places.split(batch):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        model.eval()
        with torch.no_grad():
            logits = model(x_held_out)
        measured["training loss"].append(total / len(x))
        measured["held-out loss"].append(F.cross_entropy(logits, y_held_out).item())
        measured["held-out accuracy"].append((logits.argmax(1) == y_held_out).float().mean().item())
    return measured
