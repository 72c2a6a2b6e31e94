"""Small things to train, and the scripts of this project executed in this process, recorded."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pipetrace
from pipetrace.tracefile import Recording

SCRIPTS = Path(__file__).parents[1] / "scripts"


class Ran(NamedTuple):
    """A script that was executed in a recording."""

    recording: Recording
    printed: list[str]
    names: dict[str, Any]
    """Its globals when it ended."""


class Task(NamedTuple):
    """A small classification: everything a loop needs."""

    x: torch.Tensor
    y: torch.Tensor
    model: nn.Module
    optimizer: torch.optim.Optimizer
    loader: DataLoader[Any]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def task() -> Task:
    """Return 24 rows of 4 features, two classes, a model with dropout, batches of 8."""
    torch.manual_seed(0)
    x = torch.randn(24, 4)
    y = (x[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Task(x, y, model, optimizer, DataLoader(TensorDataset(x, y), 8, shuffle=True))


@pytest.fixture(scope="session")
def ran() -> Callable[[str], Ran]:
    """Return what executes a script of `tests/scripts` in a recording, once a session."""
    return functools.cache(_execute)


def _execute(name: str) -> Ran:
    path = SCRIPTS / f"{name}.py"
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    sys.path.insert(0, str(SCRIPTS))
    printed = io.StringIO()
    try:
        with (
            contextlib.suppress(SystemExit, RuntimeError),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(io.StringIO()),
            pipetrace.record() as run,
        ):
            exec(code, names)
    finally:
        sys.path.remove(str(SCRIPTS))
        torch.use_deterministic_algorithms(False)
    return Ran(run.recording, printed.getvalue().splitlines(), names)
