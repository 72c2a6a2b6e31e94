"""What is measured in a process of its own: forwards with random weights, plain and traced."""

from __future__ import annotations

import copy
import gc
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tracers import TRACERS

LONG_ENOUGH = 0.1
"""Seconds of one plain forward, from which on a ratio says what a real batch costs."""

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Forward:
    """A model and the shape of one row of its input.

    Attributes:
        config: The configuration's name in transformers; empty for the seed's model.
        words: How many tokens there are; 0 for an input of real numbers.
        rows: The batch; 0 to double it until one plain forward is long enough.
        repeats: Forwards that are timed as one.
    """

    config: str
    row: tuple[int, ...]
    words: int = 0
    train: bool = False
    gradients: bool = False
    rows: int = 0
    repeats: int = 1

    @property
    def package(self) -> str:
        """What has to be installed."""
        return "transformers" if self.config else "torch"

    @property
    def installed(self) -> bool:
        """Whether its package can be found."""
        return importlib.util.find_spec(self.package) is not None

    def model(self) -> nn.Module:
        """Make the model, with random weights and in its mode."""
        torch.manual_seed(0)
        if not self.config:
            layers = [nn.Dropout(0.3), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3)]
            return nn.Sequential(*layers).train(self.train)
        import transformers

        config = getattr(transformers, self.config)()
        made: nn.Module = transformers.AutoModel.from_config(config)
        return made.train(self.train)

    def batch(self, rows: int) -> torch.Tensor:
        """Make an input of so many rows."""
        shape = (rows, *self.row)
        return torch.randint(self.words, shape) if self.words else torch.randn(shape)


FORWARDS = {
    "BERT-base": Forward("BertConfig", (128,), words=30_000),
    "ViT-B/16": Forward("ViTConfig", (3, 224, 224)),
    "GPT-2": Forward("GPT2Config", (128,), words=50_000),
    "ResNet-50": Forward("ResNetConfig", (3, 224, 224)),
    "BERT-base, train mode with gradients": Forward(
        "BertConfig", (128,), words=30_000, train=True, gradients=True
    ),
    "seed MLP, train mode": Forward("", (20,), train=True, gradients=True, rows=1000, repeats=20),
}


def interleaved(name: str, tracers: list[str], rounds: int) -> dict[str, Any]:
    """Time one forward plain and under each tracer, a round of all after the other.

    Each tracer but ours has a copy of the model to itself, because some leave things in it.

    Returns:
        The rows of the batch, and the costs in seconds of a forward by tracer; for a tracer that
        raised, what it raised.
    """
    import measure

    forward = FORWARDS[name]
    torch.set_grad_enabled(forward.gradients)
    model = forward.model()
    rows = forward.rows or long_enough(forward, model)
    x = forward.batch(rows)
    outcomes: dict[str, list[float] | str] = {}
    variants: dict[str, measure.Cost] = {}
    for each in tracers:
        tracer = TRACERS[each]
        own = model if tracer.package in ("torch", "pipetrace") else copy.deepcopy(model)
        try:
            with tracer.around():
                call = tracer.prepare(own, x)
        except Exception as error:
            outcomes[each] = measure.problem(error)
            continue
        variants[each] = cost(call, tracer.around, forward.repeats)
    for each, costs in measure.alternate(variants, rounds).items():
        outcomes[each] = costs if isinstance(costs, list) else measure.problem(costs)
    return {"rows": rows, "costs": outcomes}


def long_enough(forward: Forward, model: nn.Module) -> int:
    """Return the smallest power of two of rows whose plain forward takes long enough."""
    rows = 1
    while True:
        plain = cost(TRACERS["plain"].prepare(model, forward.batch(rows)))
        if min(plain() for _ in range(4)) >= LONG_ENOUGH:
            return rows
        rows *= 2


def cost(
    call: Callable[[], object],
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    repeats: int = 1,
) -> Callable[[], float]:
    """Return what takes the processor time of one call, its result thrown away, in seconds."""

    def seconds() -> float:
        gc.collect()
        with around():
            start = time.process_time()
            for _ in range(repeats):
                call()
            return (time.process_time() - start) / repeats

    return seconds


def first(name: str) -> float:
    """Return the wall time in seconds of the first trace of the seed's model, imports included."""
    forward = FORWARDS["seed MLP, train mode"]
    model, x = forward.model(), forward.batch(1000)
    tracer = TRACERS[name]
    start = time.perf_counter()
    tracer.prepare(model, x)()
    return time.perf_counter() - start


def peak(name: str, rows: int) -> float:
    """Return the most memory in MB that the process held during one forward of BERT-base."""
    forward = FORWARDS["BERT-base"]
    torch.set_grad_enabled(False)
    model, x = forward.model(), forward.batch(rows)
    call = TRACERS[name].prepare(model, x)
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    call()
    if STATUS.exists():
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def left(name: str, blocks: int = 10) -> float:
    """Return what a forward of the seed's model costs after a trace, over one before it."""
    import statistics

    forward = FORWARDS["seed MLP, train mode"]
    model, x = forward.model(), forward.batch(1000)
    plain = cost(TRACERS["plain"].prepare(model, x), repeats=100)
    for _ in range(blocks):
        plain()
    before = statistics.median(plain() for _ in range(blocks))
    TRACERS[name].prepare(model, x)()
    return statistics.median(plain() for _ in range(blocks)) / before


WORK: Mapping[str, Callable[..., object]] = {
    "interleaved": interleaved,
    "first": first,
    "peak": peak,
    "left": left,
}


def main() -> None:
    """Do the work that the command line names; the last line says what came of it."""
    torch.set_num_threads(1)
    work, arguments = sys.argv[1], json.loads(sys.argv[2])
    try:
        told = {"answer": WORK[work](*arguments)}
    except Exception as error:
        import measure

        told = {"problem": measure.problem(error)}
    print()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
