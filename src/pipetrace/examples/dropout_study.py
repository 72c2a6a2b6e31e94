"""The example's classifier, fast enough to train many times with dropout and without."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARES = torch.tensor([0.4, 0.3, 0.3])  # of the three classes
FEATURES = 20
HELD_OUT = 1000
BATCH = 32
PLACES = {"inputs": 0, "hidden": 2, "logits": 3}


def make_rows(rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw rows of 20 features, 10 of which tell the class, and 1000 more that are held out."""
    directions = torch.linalg.qr(torch.randn(10, 3)).Q
    centres = 2.05 * directions.T  # three points, each as far from one as from the other
    y = torch.multinomial(SHARES, rows + HELD_OUT, replacement=True)
    x = torch.randn(rows + HELD_OUT, FEATURES)
    x[:, :10] += centres[y]
    x = (x - x[:rows].mean(0)) / x[:rows].std(0)  # what was held out must not shape the scale
    return x[:rows], y[:rows], x[rows:], y[rows:]


def make_model(p: float, placement: str, width: int) -> nn.Sequential:
    """Make the example's network with dropout in one of three places, or without any."""
    first, head = nn.Linear(FEATURES, width), nn.Linear(width, 3)
    with torch.no_grad():  # begin with little more than the classes' shares: a loss near ln 3
        head.weight.mul_(0.2)
        head.bias.copy_(SHARES.log())
    layers: list[nn.Module] = [first, nn.ReLU(), head]
    if placement != "none":
        layers.insert(PLACES[placement], nn.Dropout(p))
    return nn.Sequential(*layers)


@torch.no_grad()
def evaluate(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the mean loss and the accuracy with dropout switched off."""
    model.eval()
    logits = model(x)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def train(
    *,
    seed: int,
    p: float = 0.3,
    placement: str = "inputs",
    width: int = 64,
    rows: int = 120,
    rate: float = 0.3,
    steps: int = 160,
) -> dict[str, list[float]]:
    """Train once and return what was measured after each epoch.

    Rows, first weights and the order of the batches are drawn before the first mask, so two
    trainings with the same seed, width and number of rows share them, whatever their dropout is.

    Args:
        seed: of everything random.
        p: the share to drop, 0 to 1.
        placement: `inputs`, `hidden` (after the ReLU), `logits` (after the last layer) or `none`.
        width: number of hidden units.
        rows: number of rows to train on.
        rate: learning rate of plain gradient descent on mini-batches.
        steps: the optimizer takes at least so many, in whole epochs: fewer rows, more epochs.

    Returns:
        One number per epoch for each of `training loss` (in train mode, mean over the epoch),
        `held-out loss` and `held-out accuracy` (both in eval mode).
    """
    torch.manual_seed(seed)
    epochs = math.ceil(steps / math.ceil(rows / BATCH))
    x, y, x_held_out, y_held_out = make_rows(rows)
    model = make_model(p, placement, width)
    orders = [torch.randperm(rows) for _ in range(epochs)]
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses, held_out_losses, accuracies = [], [], []
    for order in orders:
        model.train()
        total = 0.0
        for batch in order.split(BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        held_out_loss, accuracy = evaluate(model, x_held_out, y_held_out)
        losses.append(total / rows)
        held_out_losses.append(held_out_loss)
        accuracies.append(accuracy)
    return {
        "training loss": losses,
        "held-out loss": held_out_losses,
        "held-out accuracy": accuracies,
    }
