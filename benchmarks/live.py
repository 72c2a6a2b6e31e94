"""What ten readers that follow a run ten times a second cost its writer, and what a look costs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import measure
from measure import Result, progress, ratio, value
from pipetrace.examples import dropout
from pipetrace.following import Follower
from pipetrace.session import Session

READERS = 10
EPOCHS = 40
"""Some two seconds of training: long enough for flushes to be among them."""
FOLLOW = """
import sys, time
from pathlib import Path
from pipetrace.following import Follower

followers = [Follower(Path(sys.argv[1])) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
while True:
    for follower in followers:
        follower.look()
    time.sleep(0.1)
"""


def followed(folder: Path, rounds: int) -> Result:
    """Compare the CPU time of a recorded training with readers and without, in one process."""
    torch.set_num_threads(1)
    x, y, _, _ = dropout.make_rows(0)
    model = dropout.make_model(0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    session = Session("live", "python", file=folder / "live.pipetrace")
    session.begin()

    def train() -> float:
        start = time.process_time()
        for _ in range(EPOCHS):
            dropout.train_epoch(model, batches, optimizer)
        return time.process_time() - start

    def read() -> float:
        with _readers(folder / "live.pipetrace"):
            return train()

    name = f"recording read by {READERS}, 10 times a second, CPU time of the writer"
    result = ratio(name, read, train, goal=1.01, rounds=rounds)
    session.end()
    session.close()
    return result


def looking(folder: Path, rounds: int) -> Result:
    """Time a look at a file that has not changed."""
    follower = Follower(folder / "live.pipetrace")
    follower.look()

    def cost() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            follower.look()
        return 1000 * (time.perf_counter() - start)

    return value("a look at an unchanged run", cost, goal=None, unit="us", rounds=rounds)


@contextlib.contextmanager
def _readers(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", FOLLOW, str(path), str(READERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def main() -> None:
    """Measure everything and print it."""
    wanted = measure.arguments(__doc__, rounds=9)
    with tempfile.TemporaryDirectory() as name:
        progress("readers")
        results = [followed(Path(name), wanted.rounds)]
        progress("looks")
        results.append(looking(Path(name), wanted.rounds))
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
