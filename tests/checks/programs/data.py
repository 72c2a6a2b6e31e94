"""Programs whose data are shuffled apart, prepared otherwise or averaged, and look-alikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from making import (
    Called,
    Program,
    Rows,
    classes,
    loaded,
    looped,
    mlp,
    sliced,
    values,
)
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


def fires_ptr801_targets_permuted() -> Program:
    x, y = classes(80)

    def train() -> Iterator[Rows]:
        return sliced(x[:64], y[torch.randperm(64)])()

    return looped(mlp(), nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def fires_ptr801_two_loaders() -> Program:
    x, y = values(80)
    one, other = (DataLoader(each[:64], batch_size=16, shuffle=True) for each in (x, y))
    model = mlp(6, 1)
    return looped(model, nn.MSELoss(), lambda: zip(one, other, strict=True),
                  sliced(x[64:], y[64:]))  # fmt: skip


def fires_ptr801_two_classes_by_two_loaders() -> Program:
    x, y = values(80)
    y = (y > 0).float()
    one, other = (DataLoader(each[:64], batch_size=16, shuffle=True) for each in (x, y))
    return looped(mlp(6, 1), nn.BCEWithLogitsLoss(), lambda: zip(one, other, strict=True),
                  sliced(x[64:], y[64:]))  # fmt: skip


def fires_ptr801_images_in_one_batch() -> Program:
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 1, 6, 6, generator=source), torch.randint(0, 5, (40,))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

    def train() -> Iterator[Rows]:
        order = torch.randperm(len(x))
        yield x[order], y

    return looped(model, F.cross_entropy, train, sliced(x[:8], y[:8], 8))


def silent_ptr801_shuffled_together() -> Program:
    x, y = classes(80)

    def train() -> Iterator[Rows]:
        order = torch.randperm(64)
        return sliced(x[order], y[order])()

    return looped(mlp(), nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def silent_ptr801_rows_are_each_others_classes() -> Program:
    x, _ = classes(80)

    def train() -> Iterator[Rows]:
        order = torch.randperm(64)
        return sliced(x[order], torch.arange(16).repeat(4))()

    def loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z = F.normalize(z, dim=1)
        return F.cross_entropy(z @ z.t().roll(1, 0) / 0.1, y)

    return looped(mlp(), loss, train, sliced(x[64:], torch.arange(16)))


def silent_ptr801_similarities_from_the_model() -> Program:
    x, _ = classes(80)

    def compare(model: Any, x: torch.Tensor) -> torch.Tensor:
        one, other = model.one(x), model.other(x)
        return one @ other.t()

    model = Called(compare, one=mlp(), other=mlp())
    labels = torch.arange(16).repeat(4)

    def train() -> Iterator[Rows]:
        return sliced(x[torch.randperm(64)], labels)()

    return looped(model, nn.CrossEntropyLoss(), train, sliced(x[64:], torch.arange(16)))


def silent_ptr801_tasks_rename_their_classes() -> Program:
    source = torch.Generator().manual_seed(0)
    centres = torch.randn(5, 1, 8, generator=source) * 2
    pool = centres + torch.randn(5, 6, 8, generator=source)
    y = torch.arange(5).repeat_interleave(6)

    def train() -> Iterator[Rows]:
        for _ in range(3):
            yield pool[torch.randperm(5)].reshape(-1, 8), y

    return looped(mlp(8, 5), nn.CrossEntropyLoss(), train, sliced(pool.reshape(-1, 8), y, 10))


def silent_ptr801_pseudo_labels() -> Program:
    x, y = classes(80)
    model = mlp()

    def train() -> Iterator[Rows]:
        with torch.no_grad():
            labels = (model(x[:64]) + 0.3 * torch.randn(64, 4)).argmax(1)
        return sliced(x[:64], labels)()

    return looped(model, nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def silent_ptr801_moving_value_targets() -> Program:
    x, _ = values(80)
    model = mlp(6, 1)

    def train() -> Iterator[Rows]:
        with torch.no_grad():
            bootstrapped = torch.randn(64, 1) + 0.9 * model(x[:64].roll(1, 0))
        return sliced(x[:64], bootstrapped)()

    return looped(model, nn.SmoothL1Loss(), train, sliced(*values(16)))


def fires_ptr802_raw_evaluation() -> Program:
    x, y = classes(80)
    raw = x * 9 - 30
    mean, std = raw[:64].mean(0), raw[:64].std(0)
    return looped(mlp(), nn.CrossEntropyLoss(), loaded((raw[:64] - mean) / std, y[:64]),
                  sliced(raw[64:], y[64:], 8))  # fmt: skip


def fires_ptr802_only_an_accuracy_is_told() -> Program:
    x, y = classes(80)
    raw = x * 6 + 20
    mean, std = raw[:64].mean(0), raw[:64].std(0)
    made = looped(mlp(), nn.CrossEntropyLoss(), sliced((raw[:64] - mean) / std, y[:64]),
                  sliced(raw[64:], y[64:]))  # fmt: skip

    @torch.no_grad()
    def eval_step(model: nn.Module) -> float:
        model.eval()
        return (model(raw[64:]).argmax(1) == y[64:]).float().mean().item()

    return made | {"eval_step": eval_step}


def fires_ptr802_bytes_in_evaluation() -> Program:
    source = torch.Generator().manual_seed(0)
    shown = torch.randint(0, 2, (4, 3, 6, 6), generator=source) * 160
    y = torch.arange(64) % 4
    x = (shown[y] + torch.randint(0, 90, (64, 3, 6, 6), generator=source)).float()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.ReLU(), nn.Linear(16, 4))
    return looped(model, F.cross_entropy, sliced(x[:48] / 255, y[:48]), sliced(x[48:], y[48:]))


def fires_ptr802_standardised_in_evaluation_only() -> Program:
    x, y = classes(80)
    x = x * 10
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))
    held = (x[64:] - x[:64].mean(0)) / x[:64].std(0)
    return looped(model, nn.CrossEntropyLoss(), sliced(x[:64], y[:64]), sliced(held, y[64:]))


def silent_ptr802_outliers() -> Program:
    x, y = classes(80)
    x[70:73] *= 9
    return looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:]))


def silent_ptr802_other_data() -> Program:
    x, y = classes(80)
    source = torch.Generator().manual_seed(5)
    return looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]),
                  sliced(torch.randn(16, 8, generator=source) * 8 + 6, y[64:]))  # fmt: skip


def silent_ptr802_corrupted_beside_clean() -> Program:
    x, y = classes(80)
    made = looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:]))
    clean = made["eval_step"]

    @torch.no_grad()
    def eval_step(model: nn.Module) -> tuple[float, float]:
        return clean(model), F.cross_entropy(model(x[64:] * 7 + 20), y[64:]).item()

    return made | {"eval_step": eval_step}


def silent_ptr802_a_trend_goes_on() -> Program:
    time = torch.arange(80.0)
    x = torch.stack([time, time * 0.9, time + 3], 1) / 20
    y = x[:, :1] * 0.5
    return looped(mlp(3, 1), nn.MSELoss(), sliced(x[:32], y[:32]), sliced(x[64:], y[64:]))


def uneven(
    summed: Callable[[list[tuple[float, int]]], Any], loss_fn: Any, data: Rows
) -> Program:  # fmt: skip
    """Return a loop whose last batch of evaluation is small and odd."""
    x, y = data
    x = x.clone()
    x[-3:] *= 5
    made = looped(mlp(x.shape[1], 1 if y.is_floating_point() else 4), loss_fn,
                  sliced(x[:45], y[:45], 15), sliced(x, y))  # fmt: skip

    @torch.no_grad()
    def eval_step(model: nn.Module) -> Any:
        model.eval()
        told = [(loss_fn(model(a), b).item(), len(a)) for a, b in sliced(x[45:], y[45:], 8)()]
        return summed(told)

    return made | {"eval_step": eval_step}


def fires_ptr807_regression() -> Program:
    return uneven(lambda told: sum(loss for loss, _ in told) / len(told), nn.MSELoss(), values())


def fires_ptr807_in_a_dictionary() -> Program:
    data = classes(64)
    return uneven(lambda told: {"loss": torch.tensor([loss for loss, _ in told]).mean()},
                  nn.L1Loss(), (data[0], data[1][:, None].float()))  # fmt: skip


def fires_ptr807_running_mean() -> Program:
    def running(told: list[tuple[float, int]]) -> tuple[float, int]:
        mean = 0.0
        for number, (loss, _) in enumerate(told, 1):
            mean += (loss - mean) / number
        return mean, len(told)

    return uneven(running, nn.SmoothL1Loss(), values())


def silent_ptr807_weighted() -> Program:
    return uneven(lambda told: sum(loss * n for loss, n in told) / sum(n for _, n in told),
                  nn.MSELoss(), values())  # fmt: skip


def silent_ptr807_both_are_told() -> Program:
    def both(told: list[tuple[float, int]]) -> tuple[float, float]:
        weighted = sum(loss * n for loss, n in told) / sum(n for _, n in told)
        return sum(loss for loss, _ in told) / len(told), weighted

    return uneven(both, nn.MSELoss(), values())


def silent_ptr807_equal_batches() -> Program:
    x, y = values(80)
    x[-3:] *= 5
    made = looped(mlp(6, 1), nn.MSELoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:], 4))
    model_loss = nn.MSELoss()

    @torch.no_grad()
    def eval_step(model: nn.Module) -> float:
        model.eval()
        losses = [model_loss(model(a), b).item() for a, b in sliced(x[64:], y[64:], 4)()]
        return sum(losses) / len(losses)

    return made | {"eval_step": eval_step}
