"""What a backward starts from is the loss, and rows count once in a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Epoch

Given = tuple[torch.Tensor, torch.Tensor]


def plain(cross: torch.Tensor, _: Any) -> torch.Tensor:
    return cross


def two_terms(cross: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return cross + 0.1 * weight.square().sum()


def halved(cross: torch.Tensor, _: Any) -> torch.Tensor:
    return 0.5 * cross


def rooted(cross: torch.Tensor, _: Any) -> torch.Tensor:
    return cross.sqrt()


class Made:
    """Rows, a model, and the mean of the losses that a loop has noted."""

    def __init__(self) -> None:
        torch.manual_seed(6)
        self.x = torch.randn(24, 4)
        self.y = (self.x[:, 0] > 0).long()
        self.model = nn.Linear(4, 2)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.losses: list[float] = []

    def parts(self, size: int) -> list[Given]:
        return list(zip(self.x.split(size), self.y.split(size), strict=True))

    def told(self, loop: Callable[[], None]) -> Epoch:
        """Return what is told of a loop that is one epoch."""
        with pipetrace.record() as run:
            for _ in pipetrace.epochs([0]):
                loop()
        (epoch,) = run.recording.all(Epoch)
        assert epoch.score.loss == pytest.approx(sum(self.losses) / len(self.losses), rel=1e-5)
        return epoch


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize("make", [plain, two_terms, halved, rooted])
@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_loss_is_what_backward_starts_from(
    make: Callable[..., torch.Tensor], scale: float, made: Made
):
    def loop() -> None:
        for x, y in made.parts(8):
            loss = make(F.cross_entropy(made.model(x), y), made.model.weight)
            made.losses.append(loss.item())
            made.optimizer.zero_grad()
            (loss * torch.tensor(scale)).backward()
            made.optimizer.step()

    assert made.told(loop).score.rows == 24


@pytest.mark.parametrize("make", [plain, two_terms])
def test_the_division_by_micro_batches_is_undone(make: Callable[..., torch.Tensor], made: Made):
    def loop() -> None:
        for number, (x, y) in enumerate(made.parts(4), 1):
            loss = make(F.cross_entropy(made.model(x), y), made.model.weight)
            made.losses.append(loss.item())
            (loss / 3).backward()
            if number % 3 == 0:
                made.optimizer.step()
                made.optimizer.zero_grad()

    epoch = made.told(loop)
    assert (epoch.steps, epoch.score.rows) == (2, 24)


def test_a_sum_over_rows_is_divided_by_them_whatever_is_added(made: Made):
    def loop() -> None:
        for x, y in made.parts(8):
            loss = F.cross_entropy(made.model(x), y, reduction="sum") + made.model.bias.sum()
            made.losses.append(loss.item() / 8)
            loss.backward()
            made.optimizer.step()

    made.told(loop)


def test_an_evaluation_that_forgot_no_grad_leaves_nothing_behind(made: Made):
    def loop() -> None:
        for x, y in made.parts(8):
            F.cross_entropy(made.model(made.x[:5]), made.y[:5], reduction="sum")
            loss = F.cross_entropy(made.model(x), y)
            made.losses.append(loss.item())
            made.optimizer.zero_grad()
            loss.backward()
            made.optimizer.step()

    made.told(loop)


def test_two_backwards_through_one_forward_are_one_loss(made: Made):
    def loop() -> None:
        for x, y in made.parts(8):
            output = made.model(x)
            one, other = F.cross_entropy(output, y), output.square().mean()
            made.losses.append((one + other).item())
            made.optimizer.zero_grad()
            one.backward(retain_graph=True)
            other.backward()
            made.optimizer.step()

    assert made.told(loop).score.rows == 24


def test_rows_that_come_again_within_a_step_count_once(made: Made):
    def loop() -> None:
        for x, y in made.parts(8):
            made.optimizer.zero_grad()
            for number in range(3):
                loss = F.cross_entropy(made.model(x), y)
                loss.backward()
                if number == 0:
                    made.losses.append(loss.item())
            made.optimizer.step()

    assert made.told(loop).score.rows == 24


def test_other_rows_in_the_same_memory_are_other_rows(made: Made):
    buffer = torch.empty(8, 4)

    def loop() -> None:
        for x, y in made.parts(8):
            loss = F.cross_entropy(made.model(buffer.copy_(x)), y)
            made.losses.append(loss.item())
            loss.backward()
        made.optimizer.step()

    assert made.told(loop).score.rows == 24


def test_an_encoder_and_a_decoder_see_the_same_rows(made: Made):
    encoder = nn.Linear(4, 4)
    both = [*encoder.parameters(), *made.model.parameters()]
    made.optimizer = torch.optim.SGD(both, lr=0.1)

    def loop() -> None:
        for x, y in made.parts(8):
            loss = F.cross_entropy(made.model(encoder(x)), y)
            made.losses.append(loss.item())
            made.optimizer.zero_grad()
            loss.backward()
            made.optimizer.step()

    epoch = made.told(loop)
    assert epoch.score.rows == 24
    assert epoch.score.accuracy is not None


def test_an_optimizer_that_takes_over_is_told_like_the_first(made: Made):
    later = torch.optim.Adam(made.model.parameters(), lr=0.01)

    def loop() -> None:
        for optimizer in (made.optimizer, later):
            for _ in pipetrace.epochs([0]):
                for x, y in made.parts(8):
                    loss = F.cross_entropy(made.model(x), y)
                    made.losses.append(loss.item())
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()

    with pipetrace.record() as run:
        loop()
    found = [epoch.score.loss for epoch in run.recording.all(Epoch)]
    assert found == pytest.approx([sum(made.losses[:3]) / 3, sum(made.losses[3:]) / 3], rel=1e-5)


def test_a_step_of_fewer_micro_batches_has_the_same_loss_as_the_others(task: Any):
    losses = []
    with pipetrace.record() as run:
        for _ in range(2):
            for number, rows in enumerate(torch.arange(24).split(8), 1):
                loss = F.cross_entropy(task.model(task.x[rows]), task.y[rows])
                losses.append(loss.item())
                (loss / 2).backward()
                if number % 2 == 0 or number == 3:
                    task.optimizer.step()
                    task.optimizer.zero_grad()
    epochs = run.recording.all(Epoch)
    told = [sum(losses[:3]) / 3, sum(losses[3:]) / 3]
    assert [epoch.score.loss for epoch in epochs] == pytest.approx(told, rel=1e-6)


def test_large_micro_batches_are_folded_in_the_middle_of_a_step_and_keep_their_loss():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 8192)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(8192, (8,))
    losses = []
    with pipetrace.record() as run:
        for _ in pipetrace.epochs(range(1)):
            for number in range(1, 81):
                loss = F.cross_entropy(model(x), y)
                losses.append(loss.item())
                (loss / 4).backward()
                if number % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
    (epoch,) = run.recording.all(Epoch)
    assert epoch.score.loss == pytest.approx(sum(losses) / 80, rel=1e-5)
