"""What it costs to keep the loss and the learning rate of a step, in our file and in others'."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipetrace.tracefile import Writer

_FOLD = 512
"""A training hands its steps over in batches of this size."""


class Spent(NamedTuple):
    """Processor time of one record, in microseconds: while it is logged, and until all is kept."""

    logged: float
    closed: float


Log = Callable[[float, float], None]
Opened = tuple[Log, Callable[[], None]]
"""What logs one step, and what closes."""


def ours(folder: Path) -> Opened:
    """Keep both series as a training does."""
    writer = Writer(folder / "scalars.pipetrace")
    losses: list[float] = []
    rates: list[float] = []

    def hand_over() -> None:
        writer.scalars("loss/0", losses)
        writer.scalars("rate/0", rates)
        losses.clear()
        rates.clear()

    def log(loss: float, rate: float) -> None:
        losses.append(loss)
        rates.append(rate)
        if len(losses) >= _FOLD:
            hand_over()

    def close() -> None:
        hand_over()
        writer.close()

    return log, close


def tensorboard(folder: Path) -> Opened:
    """Add two scalars to a SummaryWriter."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    steps = iter(range(10**9))

    def log(loss: float, rate: float) -> None:
        step = next(steps)
        writer.add_scalar("loss", loss, step)
        writer.add_scalar("rate", rate, step)

    return log, writer.close


def mlflow(folder: Path) -> Opened:
    """Log two metrics of a step into a local SQLite store, or files where there is none."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    kept = importlib.util.find_spec("sqlalchemy") is not None
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db" if kept else f"file://{folder}")
    mlflow.set_experiment("bench")
    mlflow.start_run()
    steps = iter(range(10**9))

    def log(loss: float, rate: float) -> None:
        mlflow.log_metrics({"loss": loss, "rate": rate}, step=next(steps))

    return log, mlflow.end_run


def trackio(folder: Path) -> Opened:
    """Log both numbers of a step in one call."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    trackio.init(project="bench", name=folder.name)

    def log(loss: float, rate: float) -> None:
        trackio.log({"loss": loss, "rate": rate})

    return log, trackio.finish


@dataclass(frozen=True)
class Logger:
    """One way to keep scalars, the package it needs, and how many records make a measurement."""

    package: str
    opened: Callable[[Path], Opened]
    records: int

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        return importlib.util.find_spec(self.package) is not None

    def spent(self) -> Spent:
        """Log records into an empty folder."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, _silence():
            log, close = self.opened(Path(name))
            log(0.0, 0.0)
            start = time.process_time()
            for step in range(self.records):
                log(1.0 / (step + 1), 0.1)
            logged = time.process_time()
            close()
            closed = time.process_time()
        scale = 1e6 / self.records
        return Spent((logged - start) * scale, (closed - start) * scale)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


OURS = Logger("pipetrace", ours, 50_000)
OTHERS = {
    "TensorBoard": Logger("tensorboard", tensorboard, 2_000),
    "MLflow": Logger("mlflow", mlflow, 100),
    "Trackio": Logger("trackio", trackio, 300),
}
