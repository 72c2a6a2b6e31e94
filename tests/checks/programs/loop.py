"""Programs whose loops clear, clip, schedule or step wrongly, and others that only look like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

ROWS, SIZE, CLASSES, BATCH = 40, 6, 3, 4
Step = Callable[[int, Tensor, Tensor], Any]


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, SIZE, generator=generator)
    return x, torch.randint(0, CLASSES, (ROWS,), generator=generator)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, 12), nn.ReLU(), nn.Linear(12, CLASSES))


def sgd(model: nn.Module, rate: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate)


def loop(
    model: nn.Module, step: Step, *optimizers: torch.optim.Optimizer,
    after: Callable[[], Any] = lambda: None, before: Callable[[], Any] = lambda: None,
    evaluate: Callable[[nn.Module], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Build a program of what it does at a batch, before an epoch's first and after its last."""
    x, y = rows()

    def train_step(model: nn.Module) -> float:
        model.train()
        before()
        for i in range(ROWS // BATCH):
            batch = slice(i * BATCH, (i + 1) * BATCH)
            step(i, x[batch], y[batch])
        after()
        return 0.0

    def eval_step(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return F.cross_entropy(model(x[:8]), y[:8]).item()

    return {
        "model": model, "batch": (x[:BATCH],), "target": y[:BATCH], "loss_fn": F.cross_entropy,
        "optimizers": list(optimizers), "train_step": train_step,
        "eval_step": evaluate or eval_step,
    }  # fmt: skip


def plain(
    model: nn.Module, optimizer: torch.optim.Optimizer, then: Callable[[], Any] = lambda: None
) -> Step:  # fmt: skip
    """Return a right step, and what is done after each."""

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        then()

    return step


def fires_ptr701_another_optimizer_is_cleared() -> dict[str, Any]:
    first, second = nn.Linear(SIZE, 8), nn.Linear(8, CLASSES)
    one, two = sgd(first), torch.optim.Adam(second.parameters())

    def step(i: int, x: Tensor, y: Tensor) -> None:
        one.zero_grad()
        F.cross_entropy(model(x), y).backward()
        one.step()
        two.step()

    model = nn.Sequential(first, second)
    return loop(model, step, one, two)


def fires_ptr701_cleared_once_an_epoch() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return loop(model, step, optimizer, before=lambda: optimizer.zero_grad())


def fires_ptr701_weights_of_the_loss_forgotten() -> dict[str, Any]:
    model, scale = network(), nn.Parameter(torch.ones(CLASSES))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.05)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        model.zero_grad()
        F.cross_entropy(model(x) * scale, y).backward()
        optimizer.step()

    return loop(model, step, optimizer)


def fires_ptr701_recurrent_net_over_a_loader() -> dict[str, Any]:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(1, 8, batch_first=True), nn.Linear(8, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.rnn(x[..., None])[0][:, -1])

    model = Last()
    optimizer, loader = sgd(model), DataLoader(TensorDataset(*rows()), batch_size=8)

    def train_step(model: nn.Module) -> None:
        model.train()
        for x, y in loader:
            loss = F.nll_loss(model(x).log_softmax(-1), y)
            loss.backward()
            optimizer.step()

    return {**loop(model, lambda *_: None, optimizer), "train_step": train_step}


def silent_ptr701_accumulated_over_four() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        (F.cross_entropy(model(x), y) / 4).backward()
        if i % 4 == 3 or i == ROWS // BATCH - 1:
            optimizer.step()
            optimizer.zero_grad()

    return loop(model, step, optimizer)


def silent_ptr701_filled_with_zeros_by_hand() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.data.zero_()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return loop(model, step, optimizer)


def silent_ptr701_critic_reached_by_the_makers_backward() -> dict[str, Any]:
    maker, critic = nn.Linear(2, SIZE), nn.Linear(SIZE, 1)
    makes, criticises = sgd(maker, 0.01), sgd(critic, 0.01)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        made = maker(torch.randn(len(x), 2))
        criticises.zero_grad()
        (critic(made.detach()).mean() - critic(x).mean()).backward()
        criticises.step()
        makes.zero_grad()
        (-critic(made).mean()).backward()
        makes.step()

    made = loop(maker, step, makes, criticises, evaluate=lambda model: model(torch.ones(1, 2)))
    return {**made, "batch": (torch.randn(4, 2),), "loss_fn": lambda out, y: out.mean()}


def silent_ptr701_closure_of_lbfgs() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)

    return loop(model, step, optimizer)


def silent_ptr701_gradients_written_by_hand() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        loss = F.cross_entropy(model(x), y)
        found = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), found, strict=True):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(gradient)
        optimizer.step()

    return loop(model, step, optimizer)


def silent_ptr701_old_gradients_decay() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model, 0.01)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.9)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return loop(model, step, optimizer)


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


def clipped(
    order: str, clip: Callable[[list[nn.Parameter]], Any] = lambda p: clip_grad_norm_(p, 0.1)
) -> dict[str, Any]:  # fmt: skip
    """Build a program that does at every batch what the letters say: zero, backward, clip, step."""
    model = network()
    optimizer = sgd(model)
    parameters = list(model.parameters())

    def step(i: int, x: Tensor, y: Tensor) -> None:
        for letter in order:
            if letter == "z":
                optimizer.zero_grad()
            elif letter == "b":
                F.cross_entropy(model(x), y).backward()
            elif letter == "c":
                clip(parameters)
            else:
                optimizer.step()

    return loop(model, step, optimizer)


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


def fires_ptr704_validation_copied_from_training() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)
    x, y = rows()

    def evaluate(model: nn.Module) -> float:
        model.eval()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[:8]), y[:8])
        loss.backward()
        optimizer.step()
        return loss.item()

    return loop(model, plain(model, optimizer), optimizer, evaluate=evaluate)


def fires_ptr704_one_function_for_both_phases() -> dict[str, Any]:
    model = network().append(nn.Dropout(0.1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = rows()

    def run(train: bool) -> None:
        model.train(train)
        for i in range(0, ROWS, 10):
            with torch.set_grad_enabled(True):
                loss = F.cross_entropy(model(x[i : i + 10]), y[i : i + 10])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    made = loop(model, lambda *_: None, optimizer, evaluate=lambda model: run(False))
    return {**made, "train_step": lambda model: run(True)}


def fires_ptr704_convolution_over_loaders() -> dict[str, Any]:
    model = nn.Sequential(nn.Unflatten(1, (1, SIZE)), nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4),
                          nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES))  # fmt: skip
    optimizer = sgd(model)
    loader = DataLoader(TensorDataset(*rows()), batch_size=10)

    def run(_: nn.Module) -> None:
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    made = loop(model, lambda *_: None, optimizer, evaluate=lambda model: run(model.eval()))
    return {**made, "train_step": lambda model: run(model.train())}


def silent_ptr704_inputs_attacked_in_eval_mode() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        model.eval()
        worse = x.clone().requires_grad_(True)
        F.cross_entropy(model(worse), y).backward()
        assert worse.grad is not None
        worse = (x + 0.1 * worse.grad.sign()).detach()
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(worse), y).backward()
        optimizer.step()

    return loop(model, step, optimizer)


def silent_ptr704_critic_in_eval_mode_for_the_maker() -> dict[str, Any]:
    maker, critic = nn.Linear(2, SIZE), nn.Linear(SIZE, 1)
    makes, criticises = sgd(maker, 0.01), sgd(critic, 0.01)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        critic.train()
        criticises.zero_grad()
        (critic(maker(torch.randn(len(x), 2)).detach()).mean() - critic(x).mean()).backward()
        criticises.step()
        critic.eval()
        makes.zero_grad()
        (-critic(maker(torch.randn(len(x), 2))).mean()).backward()
        makes.step()

    made = loop(maker, step, makes, criticises, evaluate=lambda model: model(torch.ones(1, 2)))
    return {**made, "batch": (torch.randn(4, 2),), "loss_fn": lambda out, y: out.mean()}


def silent_ptr704_acting_in_eval_mode() -> dict[str, Any]:
    policy = network()
    optimizer = sgd(policy)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        policy.eval()
        with torch.no_grad():
            actions = policy(x).softmax(-1).multinomial(1)[:, 0]
        policy.train()
        optimizer.zero_grad()
        F.cross_entropy(policy(x), actions).backward()
        optimizer.step()

    return loop(policy, step, optimizer)


def accumulated(
    model: nn.Module, count: int, *, divided: bool = True, last: bool = True, reset: bool = False
) -> dict[str, Any]:  # fmt: skip
    """Build a program that accumulates gradients, which it may forget to divide, step on, clear."""
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        loss = F.cross_entropy(model(x), y)
        (loss / count if divided else loss).backward()
        if (i + 1) % count == 0 or (last and i + 1 == ROWS // BATCH):
            optimizer.step()
            optimizer.zero_grad()

    def before() -> None:
        if reset:
            optimizer.zero_grad()

    return loop(model, step, optimizer, before=before)


def fires_ptr705_last_batches_lost() -> dict[str, Any]:
    return accumulated(network(), 4, last=False, reset=True)


def fires_ptr705_last_batches_carried_over() -> dict[str, Any]:
    return accumulated(network(), 4, last=False)


def fires_ptr705_sum_of_five() -> dict[str, Any]:
    return accumulated(network(), 5, divided=False)


def silent_ptr705_even() -> dict[str, Any]:
    return accumulated(network(), 5, reset=True)


def silent_ptr705_last_ones_stepped() -> dict[str, Any]:
    return accumulated(network(), 4, reset=True)


def silent_ptr705_two_losses_of_one_call() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        out = model(x)
        F.cross_entropy(out, y).backward(retain_graph=True)
        out.square().mean().backward()
        optimizer.step()

    return loop(model, step, optimizer)


def fires_ptr706_cleared_by_the_optimizer() -> dict[str, Any]:
    return clipped("bzs")


def fires_ptr706_cleared_by_the_model() -> dict[str, Any]:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())

    def step(i: int, x: Tensor, y: Tensor) -> None:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        model.zero_grad(set_to_none=False)
        optimizer.step()

    return loop(model, step, optimizer)


def fires_ptr706_head_of_two_optimizers() -> dict[str, Any]:
    first, second = nn.Linear(SIZE, 8), nn.Linear(8, CLASSES)
    one, two = sgd(first), sgd(second)
    model = nn.Sequential(first, nn.Tanh(), second)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        one.zero_grad()
        F.cross_entropy(model(x), y).backward()
        two.zero_grad()
        one.step()
        two.step()

    return loop(model, step, one, two)


def silent_ptr706_cleared_after_the_step() -> dict[str, Any]:
    return clipped("bsz")


def silent_ptr706_cleared_twice() -> dict[str, Any]:
    return clipped("zbszz")


def silent_ptr706_one_bad_batch_left_out() -> dict[str, Any]:
    model = network()
    optimizer = sgd(model)

    def step(i: int, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if i == 3:
            optimizer.zero_grad()
        optimizer.step()

    return loop(model, step, optimizer)


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
