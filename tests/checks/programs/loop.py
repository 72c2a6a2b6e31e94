"""Programs whose loops clear, add up or step wrongly, and others that only look like it."""

from __future__ import annotations

from typing import Any

import torch
from batches import BATCH, CLASSES, ROWS, SIZE, clipped, loop, network, plain, rows, sgd
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


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
    model = network().insert(1, nn.Dropout(0.1))
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
