"""A time limit that runs out in a replay ends what the program runs, as it would without one."""

from __future__ import annotations

import functools
import itertools
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pipetrace.capture import replay
from pipetrace.capture.handlers import pass_on

CALLS = itertools.count()
"""Outside of the model, whose attributes a replay sets back."""


class Late(Exception):
    """What the program's handler raises."""


def late(*_: Any) -> None:
    raise Late


class Limit:
    def __call__(self, *_: Any) -> None:
        raise Late

    def over(self, *_: Any) -> None:
        raise Late


class Slow(nn.Module):
    """Its second forward is one too many."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if next(CALLS) % 2:
            signal.raise_signal(signal.SIGUSR1)
        return self.inner(x)


@pytest.mark.parametrize("handler", [late, Limit(), Limit().over, functools.partial(late, 1)])
def test_what_a_handler_raises_in_a_replay_reaches_the_program(handler: Callable[..., Any]):
    model, x = Slow(), torch.randn(4, 3)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        call = replay.prepare(model, (x,), {})
        output = model(x)
        state = torch.get_rng_state()
        with pytest.raises(Late):
            replay.replay(call, id=0, model_id=0, purpose="training", original=output)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(module.training for module in model.modules())
        assert type(model).__call__ is nn.Module.__call__
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_other_errors_are_not_passed_on():
    try:
        late()
    except Late as error:
        pass_on(error)
