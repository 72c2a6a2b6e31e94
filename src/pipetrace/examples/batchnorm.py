"""A small classifier with batch normalisation, trained on features in units of their own."""

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

UNITS_OF_MEASURE = torch.tensor([0.1, 0.3, 1.0, 3.0, 10.0, 0.1, 1.0, 30.0])
OFFSETS = torch.tensor([1.0, -1.0, 5.0, 0.0, 20.0, 0.0, -5.0, 100.0])


def make_rows(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw 1200 rows of 8 features, 4 of which tell the class; the last 400 are held out."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1200, 8, generator=generator)
    y = (torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + x[:, 3] > 0).long()
    x = x * UNITS_OF_MEASURE + OFFSETS  # as a table of measurements comes: nothing standardised
    return x[:800], y[:800], x[800:], y[800:]


def make_model() -> nn.Sequential:
    """Normalise the features themselves, then what comes out of each hidden layer."""
    return nn.Sequential(
        nn.BatchNorm1d(8),
        nn.Linear(8, 24, bias=False),  # a bias would be subtracted again with the mean
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 24, bias=False),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 2),
    )


@torch.no_grad()
def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the mean loss and the accuracy with the running statistics."""
    model.eval()
    logits = model(x)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def train_epoch(
    model: nn.Module, batches: DataLoader[tuple[Tensor, ...]], optimizer: torch.optim.Optimizer
) -> float:
    """Take one step per batch and return the mean loss over the rows, as training saw it."""
    model.train()
    total, rows = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total, rows = total + loss.item() * len(y), rows + len(y)
    return total / rows


def train(epochs: int = 5, seed: int = 0, data_seed: int = 0, rate: float = 0.2) -> nn.Module:
    x, y, x_held_out, y_held_out = make_rows(data_seed)
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    batches = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    for epoch in range(1, epochs + 1):
        loss = train_epoch(model, batches, optimizer)
        held_out_loss, accuracy = evaluate(model, x_held_out, y_held_out)
        print(
            f"epoch {epoch}: training loss {loss:.4f}, "
            f"held-out loss {held_out_loss:.4f}, held-out accuracy {accuracy:.3f}"
        )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--data-seed", type=int, default=0, help="of the rows")
    parser.add_argument("--rate", type=float, default=0.2, help="learning rate")
    torch.set_num_threads(1)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
