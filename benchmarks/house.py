"""What the house promises about its own cost, measured on the built-in example."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import measure
from measure import Result, progress, ratio, value
from pipetrace import naming, tracefile
from pipetrace.examples import dropout
from pipetrace.records import Ended
from pipetrace.session import Session

EXAMPLE = str(Path(dropout.__file__))
PIPETRACE = [sys.executable, "-m", "pipetrace"]
EPOCHS = 10
PER_EPOCH = {"probes"}
"""Parts of the cost that grow with the epochs; the rest is spent once."""


def whole_process(folder: Path, rounds: int) -> Result:
    """Compare the wall time of `pipetrace run SCRIPT` with that of `python SCRIPT`."""
    run = [*PIPETRACE, "run", "--quiet", "--out", str(folder / "whole"), EXAMPLE]
    return ratio(
        "whole process, pipetrace run / python",
        lambda: measure.wall(run),
        lambda: measure.wall([sys.executable, EXAMPLE]),
        goal=1.4,
        rounds=rounds,
    )


def recording(folder: Path, rounds: int) -> Result:
    """Compare the CPU time of the example's epochs, watched and not, alternating in one process.

    Both train on: what is spent once (importing, the first deep captures, the probes of the first
    epochs, opening the file) is over before the first round.
    """
    torch.set_num_threads(1)
    x, y, held_x, held_y = dropout.make_rows(0)

    def make() -> Callable[[], float]:
        model = dropout.make_model(0.3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)

        def train() -> float:
            start = time.process_time()
            for _ in range(EPOCHS):
                dropout.train_epoch(model, batches, optimizer)
                dropout.evaluate(model, held_x, held_y)
            return time.process_time() - start

        return train

    alone, seen = make(), make()
    session = Session("recording", "python", file=folder / "recording.pipetrace")
    session.begin()
    watch = session.recorder.watch
    seen()
    seen()
    watch.end()

    def watched() -> float:
        watch.begin()
        try:
            return seen()
        finally:
            watch.end()

    result = ratio("recording, CPU time", watched, alone, goal=1.10, rounds=5 * rounds)
    session.end()
    session.close()
    return result


def fixed_costs(folder: Path, rounds: int) -> Result:
    """Add up what a run of the example says that recording spent once."""
    numbers = itertools.count()

    def cost() -> float:
        out = folder / f"fixed-{next(numbers)}"
        measure.wall([*PIPETRACE, "run", "--quiet", "--out", str(out), EXAMPLE])
        ended = tracefile.load(naming.newest(out)).last(Ended)
        if ended is None or not ended.costs:
            raise RuntimeError(f"{out}: the run does not say what recording cost")
        once = (seconds for part, seconds in ended.costs.items() if part not in PER_EPOCH)
        return 1000 * sum(once)

    return value("fixed costs of a run", cost, goal=250, unit="ms", rounds=rounds)


def importing(rounds: int) -> list[Result]:
    """Time `import pipetrace` in a fresh interpreter, and look for torch afterwards."""
    program = (
        "import sys, time; start = time.perf_counter(); import pipetrace;"
        "print(1000 * (time.perf_counter() - start), int('torch' in sys.modules))"
    )

    def answer() -> list[float]:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [float(word) for word in done.stdout.split()]

    return [
        value("import pipetrace", lambda: answer()[0], goal=80, unit="ms", rounds=rounds),
        value("import pipetrace loads torch", lambda: answer()[1], goal=0, unit="times", rounds=3),
    ]


def showing(folder: Path, rounds: int) -> Result:
    """Time `pipetrace show FILE` as a whole process."""
    out = folder / "shown"
    measure.wall([*PIPETRACE, "run", "--quiet", "--out", str(out), EXAMPLE])
    show = [*PIPETRACE, "show", str(naming.newest(out))]
    return value("pipetrace show", lambda: measure.wall(show), goal=0.5, unit="s", rounds=rounds)


def main() -> None:
    """Measure everything and print it."""
    wanted = measure.arguments(__doc__, rounds=9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress("import pipetrace")
        results = importing(wanted.rounds)
        progress("pipetrace show")
        results.append(showing(folder, wanted.rounds))
        progress("fixed costs")
        results.append(fixed_costs(folder, wanted.rounds))
        progress("whole process")
        results.append(whole_process(folder, wanted.rounds))
        progress("recording")
        results.append(recording(folder, wanted.rounds))
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
