"""Optimizers that are compiled, deleted, or raise in the middle of a step."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn import functional as F

import pipetrace
from pipetrace.records import Layers


def graphs(task: Any) -> int:
    """Return how many graphs the compiler makes of a step."""
    torch._dynamo.reset()
    counters.clear()

    @torch.compile(backend="eager")
    def step() -> None:
        task.optimizer.step()

    for x, y in task.loader:
        F.cross_entropy(task.model(x), y).backward()
        step()
    return counters["stats"]["unique_graphs"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiler_takes_no_hook_of_ours_into_its_graphs(task: Any):
    alone = graphs(task)
    with pipetrace.record():
        assert graphs(task) == alone
    assert alone > 0


def test_an_optimizer_that_the_program_deletes_is_gone(task: Any):
    optimizer = torch.optim.Adam(task.model.parameters())
    gone = weakref.ref(optimizer)
    with pipetrace.record():
        for x, y in task.loader:
            F.cross_entropy(task.model(x), y).backward()
            optimizer.step()
        del optimizer
        gc.collect()
        assert gone() is None


class Stumbling(torch.optim.SGD):
    """Raises once, after it has changed the parameters."""

    stumbles = True

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"]
        if self.stumbles:
            self.stumbles = False
            raise ArithmeticError


def test_a_step_that_raised_is_no_part_of_the_next_one(task: Any):
    optimizer = Stumbling(task.model.parameters(), lr=0.25)
    with pipetrace.record() as run:
        for number, (x, y) in enumerate(task.loader):
            before = [parameter.detach().clone() for parameter in task.model.parameters()]
            F.cross_entropy(task.model(x), y).backward()
            if number == 0:
                with pytest.raises(ArithmeticError):
                    optimizer.step()
                before = [parameter.detach().clone() for parameter in task.model.parameters()]
                optimizer.step()
                break
    norm = torch.cat([value.flatten() for value in before[:2]]).norm()
    (told,) = run.recording.all(Layers)
    size = sum(value.numel() for value in before[:2])
    assert told.layers[0].weight == pytest.approx(norm.item())
    assert told.layers[0].update == pytest.approx(0.25 * size**0.5 / norm.item(), rel=1e-5)
