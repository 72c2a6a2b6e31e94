"""Programs in which a layer or a whole model does not move, and others that only look like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from building import CLASSES, HIDDEN, ROWS, SIZE, Piped, adam, body, loop, rows
from torch import Tensor, nn
from torch.nn import functional as F


def frozen(model: nn.Module, *learning: nn.Module) -> torch.optim.Optimizer:
    """Freeze a model but for some of its layers, and return an optimizer of these."""
    model.requires_grad_(False)
    for part in learning:
        part.requires_grad_(True)
    return adam(*learning)


def fires_ptr603_the_second_half_of_an_autoencoder() -> dict[str, Any]:
    model = nn.Sequential(
        nn.Sequential(nn.Linear(SIZE, 6), nn.ReLU(), nn.Linear(6, 3)),
        nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, SIZE)),
    )
    x, _ = rows()
    return loop(model, adam(model[0]), x=x, y=x, loss=lambda net, x, y: F.mse_loss(net(x), y))


def silent_ptr603_a_prompt_before_a_model_that_stays() -> dict[str, Any]:
    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prompt = nn.Parameter(torch.zeros(1, SIZE))
            self.body = nn.Sequential(*body(), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x + self.prompt)

    model = Prompted()
    return loop(model, torch.optim.Adam([model.prompt], lr=1e-2))


def silent_ptr603_layers_in_the_middle_of_a_model_that_stays() -> dict[str, Any]:
    model = nn.Sequential(*body(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return loop(model, adam(model[3]))


def fires_ptr605_middle_layer_learns() -> dict[str, Any]:
    model = nn.Sequential(*body(), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return loop(model, frozen(model, model[2]))


def fires_ptr605_batch_norm_learns() -> dict[str, Any]:
    model = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(24, CLASSES)
    )
    x, y = rows(1, SIZE)
    return loop(model, frozen(model, model[1]), x=x, y=y)


def fires_ptr605_loaded_body_and_new_head() -> dict[str, Any]:
    model = nn.Sequential(*body(), nn.ReLU(), nn.Linear(HIDDEN, CLASSES), nn.LogSoftmax(-1))
    generator = torch.Generator().manual_seed(1)
    for layer in (model[0], model[2]):
        nn.init.normal_(layer.weight, 0, 0.5, generator=generator)
    model.requires_grad_(False)
    model[2].bias.requires_grad_(True)
    return loop(model, torch.optim.Adam([model[2].bias], lr=1e-2))


def silent_ptr605_adapter_before_a_head() -> dict[str, Any]:
    model = nn.Sequential(
        *body(), nn.Linear(HIDDEN, 4), nn.ReLU(), nn.Linear(4, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    )
    return loop(model, frozen(model, model[3], model[5]))


def silent_ptr605_head_of_a_checkpoint() -> dict[str, Any]:
    model = nn.Sequential(*body(), nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, CLASSES))
    generator = torch.Generator().manual_seed(1)
    for layer in (model[0], model[2], model[4]):
        nn.init.normal_(layer.weight, 0, 0.4, generator=generator)
    return loop(model, frozen(model, model[3]))


def silent_ptr605_fixed_random_classifier() -> dict[str, Any]:
    model = nn.Sequential(*body(), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return loop(model, frozen(model, model[0], model[2]))


def silent_ptr605_random_target_beside() -> dict[str, Any]:
    class Surprised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.target, self.predictor = body(), body()
            self.target.requires_grad_(False)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.predictor(x), self.target(x)

    model = Surprised()
    made = loop(model, adam(model.predictor), loss=lambda model, x, y: F.mse_loss(*model(x)))
    return {**made, "loss_fn": lambda out, y: F.mse_loss(*out)}


def silent_ptr605_scales_in_a_frozen_model() -> dict[str, Any]:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Piped(torch.relu)
            self.scale = nn.Parameter(torch.ones(HIDDEN))

        def forward(self, x: Tensor) -> Tensor:
            return self.inside.head(self.scale * self.inside.body(x).relu())

    model = Scaled()
    model.inside.requires_grad_(False)
    return loop(model, torch.optim.Adam([model.scale], lr=1e-2))


def steps_of(
    model: nn.Module, step: Callable[[Tensor, Tensor], Any], *optimizers: torch.optim.Optimizer
) -> dict[str, Any]:  # fmt: skip
    """Build a program of which one step is given."""
    x, y = rows()

    def train_step(model: nn.Module) -> float:
        model.train()
        for start in range(0, ROWS, 6):
            step(x[start : start + 6], y[start : start + 6])
        return 0.0

    return {**loop(model, *optimizers), "train_step": train_step}


def fires_ptr606_step_forgotten() -> dict[str, Any]:
    model = Piped(torch.relu)
    optimizer = adam(model)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()

    return steps_of(model, step, optimizer)


def fires_ptr606_second_optimizer_forgotten() -> dict[str, Any]:
    model = Piped(torch.relu)
    first, second = adam(model.body), adam(model.head)

    def step(x: Tensor, y: Tensor) -> None:
        F.cross_entropy(model(x), y).backward()
        first.step()
        first.zero_grad()
        second.zero_grad()

    return steps_of(model, step, first, second)


def fires_ptr606_step_without_parentheses() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.RMSprop(model.parameters())

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad(set_to_none=False)
        F.mse_loss(model(x), y.float()[:, None]).backward()
        return optimizer.step

    return {**steps_of(model, step, optimizer), "loss_fn": lambda out, y: out.mean(),
            "eval_step": lambda model: None}  # fmt: skip


def silent_ptr606_weights_moved_by_hand() -> dict[str, Any]:
    model = Piped(torch.relu)
    optimizer = adam(model)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for parameter in model.parameters():
            parameter.data -= 0.1 * parameter.grad

    return steps_of(model, step, optimizer)


def silent_ptr606_generator_steps_now_and_then() -> dict[str, Any]:
    maker = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, SIZE))
    critic = nn.Sequential(nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, 1))
    makes, criticises = adam(maker), adam(critic)
    count = 0

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal count
        count += 1
        makes.zero_grad()
        criticises.zero_grad()
        made = maker(torch.randn(len(x), 4))
        (critic(made).mean() - critic(x).mean()).backward()
        criticises.step()
        if count % 4 == 0:
            makes.zero_grad()
            (-critic(maker(torch.randn(len(x), 4))).mean()).backward()
            makes.step()

    made = steps_of(maker, step, makes, criticises)
    return {**made, "batch": (torch.randn(6, 4),), "loss_fn": lambda out, y: out.mean(),
            "eval_step": lambda model: None}  # fmt: skip


def silent_ptr606_gradients_that_are_only_looked_at() -> dict[str, Any]:
    model = Piped(torch.relu)

    def step(x: Tensor, y: Tensor) -> None:
        model.zero_grad()
        x = x.clone().requires_grad_(True)
        model(x).max(-1).values.sum().backward()

    return steps_of(model, step)


def fires_ptr607_loss_made_anew() -> dict[str, Any]:
    model = Piped(torch.relu)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return torch.tensor(F.cross_entropy(model(x), y).item(), requires_grad=True)

    return loop(model, adam(model), loss=loss)


def fires_ptr607_detached_loss() -> dict[str, Any]:
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, CLASSES))

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x).detach(), y).requires_grad_()

    return loop(model, torch.optim.SGD(model.parameters(), lr=0.1), loss=loss)


def fires_ptr607_warm_up_that_never_steps() -> dict[str, Any]:
    model = Piped(torch.relu)
    optimizer = adam(model)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))
    return loop(model, optimizer)


def fires_ptr607_hits_instead_of_a_loss() -> dict[str, Any]:
    model = Piped(torch.relu)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return (model(x).argmax(-1) != y).float().mean().requires_grad_()

    return loop(model, adam(model), loss=loss)


def silent_ptr607_frozen_at_first() -> dict[str, Any]:
    model = Piped(torch.relu)
    model.body.requires_grad_(False)
    return loop(model, adam(model.body), adam(model.head))


def silent_ptr607_adapter_that_begins_at_zero() -> dict[str, Any]:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.added = Piped(torch.relu), nn.Linear(SIZE, CLASSES)
            self.gate = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x) + self.gate * self.added(x)

    model = Gated()
    return loop(model, adam(model))


def silent_ptr607_group_with_a_rate_of_zero() -> dict[str, Any]:
    model = Piped(torch.relu)
    groups = [{"params": model.body.parameters(), "lr": 0.0}, {"params": model.head.parameters()}]
    return loop(model, torch.optim.SGD(groups, lr=0.1))
