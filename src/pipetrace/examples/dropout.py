"""A small classifier with dropout on its inputs, trained on three synthetic clusters."""

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

SHARES = torch.tensor([0.4, 0.3, 0.3])  # of the three classes


def make_rows(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw 1500 rows of 20 features, 10 of which tell the class; the last 500 are held out."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(10, 3, generator=generator)).Q
    centres = 2.05 * directions.T  # three points, each as far from one as from the other
    y = torch.multinomial(SHARES, 1500, replacement=True, generator=generator)
    x = torch.randn(1500, 20, generator=generator)
    x[:, :10] += centres[y]
    x = (x - x[:1000].mean(0)) / x[:1000].std(0)  # what was held out must not shape the scale
    return x[:1000], y[:1000], x[1000:], y[1000:]


def make_model(p: float) -> nn.Sequential:
    head = nn.Linear(10, 3)
    with torch.no_grad():  # begin with little more than the classes' shares: a loss near ln 3
        head.weight.mul_(0.2)
        head.bias.copy_(SHARES.log())
    return nn.Sequential(nn.Dropout(p), nn.Linear(20, 10), nn.ReLU(), head)


@torch.no_grad()
def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the mean loss and the accuracy with dropout switched off."""
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


def train(epochs: int = 5, seed: int = 0, data_seed: int = 0, p: float = 0.3) -> nn.Module:
    x, y, x_held_out, y_held_out = make_rows(data_seed)
    torch.manual_seed(seed)
    model = make_model(p)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
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
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and dropout")
    parser.add_argument("--data-seed", type=int, default=0, help="of the rows")
    parser.add_argument("--p", type=float, default=0.3, help="share of inputs to drop, 0 to 1")
    torch.set_num_threads(1)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
