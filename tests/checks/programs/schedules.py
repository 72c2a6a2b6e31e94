"""Programs that clip or schedule at the wrong moment, and others that only look like it."""

from __future__ import annotations

from typing import Any

import torch
from batches import BATCH, ROWS, clipped, loop, network, plain, sgd
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import lr_scheduler


def fires_ptr702_exponential_for_every_batch() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.3)
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def fires_ptr702_rate_divided_by_hand() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def decay() -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.2

    return loop(model, plain(model, optimizer, decay), optimizer)


def fires_ptr702_steps_of_two() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.05)
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def fires_ptr702_polynomial_over_few_epochs() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.PolynomialLR(optimizer, total_iters=3, power=2.0)
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def silent_ptr702_one_cycle() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    steps = 2 * ROWS // BATCH
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps + 1)
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def silent_ptr702_cosine_over_all_steps() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 2 * ROWS // BATCH)
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def silent_ptr702_steep_steps_of_epochs() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.StepLR(optimizer, 1, 1e-3)
    return loop(model, plain(model, optimizer), optimizer, after=lambda: schedule.step())


def silent_ptr702_warm_up_and_line_down() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / 4, max(0, (22 - i) / 18)))
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)


def fires_ptr703_after_the_step() -> dict[str, Any]:
    return clipped("zbsc")


def fires_ptr703_before_the_backward() -> dict[str, Any]:
    return clipped("zcbs")


def fires_ptr703_values_after_the_step() -> dict[str, Any]:
    return clipped("zbsc", lambda p: torch.nn.utils.clip_grad_value_(p, 1e-3))


def fires_ptr703_scaled_gradients() -> dict[str, Any]:
    model = network()
    optimizer, scaler = sgd(model), torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    return loop(model, step, optimizer)


def silent_ptr703_unscaled_first() -> dict[str, Any]:
    model = network()
    optimizer, scaler = sgd(model), torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    return loop(model, step, optimizer)


def silent_ptr703_after_each_of_two_backwards() -> dict[str, Any]:
    return clipped("zbcbcs")


def silent_ptr703_norm_read_after_the_step() -> dict[str, Any]:
    return clipped("zbsc", lambda p: clip_grad_norm_(p, float("inf")))


def silent_ptr703_values_and_noise() -> dict[str, Any]:
    def clip(parameters: list[nn.Parameter]) -> None:
        clip_grad_value_(parameters, 0.01)
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.add_(torch.randn_like(parameter), alpha=1e-3)

    return clipped("zbcs", clip)


def silent_ptr703_one_of_two_networks() -> dict[str, Any]:
    actor, critic = network(), network()
    acts, judges = sgd(actor), sgd(critic)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        acts.zero_grad()
        judges.zero_grad()
        F.cross_entropy(actor(x), y).backward()
        clip_grad_norm_(actor.parameters(), 0.1)
        critic(x).square().mean().backward()
        acts.step()
        judges.step()

    return loop(actor, step, acts, judges)


def fires_ptr707_never_stepped() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return loop(model, plain(model, optimizer), optimizer)


def fires_ptr707_plateau_never_told() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=100)
    return loop(model, plain(model, optimizer), optimizer)


def fires_ptr707_before_the_optimizer() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.StepLR(optimizer, 30)
    return loop(model, plain(model, optimizer), optimizer, before=lambda: schedule.step())


def silent_ptr707_stepped_after_the_epoch() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.StepLR(optimizer, 30)
    return loop(model, plain(model, optimizer), optimizer, after=lambda: schedule.step())


def silent_ptr707_plateau() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer)
    return loop(model, plain(model, optimizer), optimizer, after=lambda: schedule.step(1.0))


def silent_ptr707_several_in_a_row() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    parts = [lr_scheduler.LinearLR(optimizer, 0.1), lr_scheduler.ExponentialLR(optimizer, 0.99)]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [5])
    return loop(model, plain(model, optimizer, lambda: schedule.step()), optimizer)
