"""What recording a training costs, beside the loops and the loggers of others."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import house
import longrun
import loops
import measure
import scalars
from measure import Missing, Result, progress, ratio
from pipetrace.session import Session

WORDS, WIDTH, LAYERS, LENGTH, ROWS = 16_384, 320, 6, 64, 2
"""Of the language model: 12.7 million parameters, 128 tokens in a step."""
_STEPS, _WARM = 4, 11


class Language(nn.Module):
    """A GPT-2-like model: learned positions, causal attention, the head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 5, 4 * WIDTH, 0.1, functional.gelu, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits of the next word at every place."""
        hidden = self.words(tokens) + self.places.weight
        hidden = self.layers(hidden, mask=self.mask, is_causal=True)
        return functional.linear(self.norm(hidden), self.words.weight)


def language_model(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Compare the processor time of a language model's steps, watched and not, in one process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    texts = torch.randint(WORDS, (ROWS * _STEPS, LENGTH + 1))

    def make() -> Callable[[int], float]:
        model = Language()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

        def train(steps: int) -> float:
            start = time.process_time()
            model.train()
            for (rows,) in DataLoader(TensorDataset(texts[: ROWS * steps]), ROWS):
                logits = model(rows[:, :-1])
                loss = functional.cross_entropy(logits.reshape(-1, WORDS), rows[:, 1:].reshape(-1))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            return time.process_time() - start

        return train

    alone, seen = make(), make()
    session = Session("language", "python", file=folder / "language.pipetrace")
    session.begin()
    watch = session.recorder.watch
    for _ in range(_WARM):
        seen(1)
    watch.end()

    def watched() -> float:
        watch.begin()
        try:
            return seen(_STEPS)
        finally:
            watch.end()

    yield ratio(
        "12.7M language model, recorded/plain",
        watched,
        partial(alone, _STEPS),
        goal=1.02,
        rounds=2 * rounds,
    )
    session.end()
    session.close()


def slices(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Compare an epoch on slices with a fused Adam, recorded and not."""
    torch.set_num_threads(1)
    yield ratio(
        "seed MLP, plain slices, recorded/plain", lambda: loops.recorded(folder), loops.plain,
        goal=1.10, rounds=3 * rounds,
    )  # fmt: skip


def loader(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Compare the example's epochs over a data loader, recorded and not."""
    yield house.recording(folder, rounds)


def libraries(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Compare our recorded epoch with the epoch that another library trains unrecorded."""
    torch.set_num_threads(1)
    ours = "ours"
    variants = {ours: partial(loops.recorded, folder)}
    present = {name: each.train for name, each in loops.LIBRARIES.items() if each.installed}
    costs = measure.alternate(variants | present, rounds)
    for name, library in loops.LIBRARIES.items():
        title = f"seed MLP recorded / unrecorded under {name}"
        yield _paired(title, costs[ours], costs.get(name, library.package), library.goal)


def _paired(
    title: str, ours: list[float] | Exception, theirs: list[float] | Exception | str, goal: float
) -> Result | Missing:
    if isinstance(theirs, str):
        return Missing(title, f"missing: {theirs}", goal, "x")
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        failed = ours if isinstance(ours, Exception) else theirs
        return Missing(title, measure.problem(failed), goal, "x")
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return measure.median_of(ratios, title, goal=goal, unit="x")


def loggers(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Compare what one record costs with what loggers take for it."""
    ours = [scalars.OURS.spent() for _ in range(rounds + 1)][1:]
    yield _cost("our record, closed", [each.closed for each in ours])
    for name, logger in scalars.OTHERS.items():
        title = f"record, {name} / ours"
        if not logger.installed:
            yield Missing(title, f"missing: {logger.package}", 20, "x", "higher")
            continue
        try:
            theirs = [logger.spent() for _ in range(rounds + 1)][1:]
        except Exception as error:
            yield Missing(title, measure.problem(error), 20, "x", "higher")
            continue
        # Ours until the file is closed, theirs until the call returns: against us in both.
        times = [other.logged / one.closed for one, other in zip(ours, theirs, strict=True)]
        found = measure.median_of(times, title, goal=20, unit="x")
        yield Result(title, found.measured, 20, "higher", "x", found.low, found.high)
        yield _cost(f"{name}'s record, logged", [each.logged for each in theirs])
        yield _cost(f"{name}'s record, closed", [each.closed for each in theirs])


def _cost(title: str, microseconds: Sequence[float]) -> Result:
    return measure.median_of(microseconds, title, goal=None, unit="us")


def million(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Open the file of a million steps, and its page."""
    path = folder / "million.pipetrace"
    longrun.write(path)
    value = partial(measure.value, rounds=rounds)
    yield value("1e6 steps, file opens", partial(longrun.opening, path), goal=100, unit="ms")
    yield value("1e6 steps, file to page", partial(longrun.telling, path), goal=1, unit="s")
    yield value("1e6 steps, pipetrace show", partial(longrun.showing, path), goal=1, unit="s")


def killed(folder: Path, rounds: int) -> Iterator[Result | Missing]:
    """Kill a training at moments that are drawn, and look at what is left."""
    moments = random.Random(0)
    found = [longrun.kill(moments.uniform(0.5, 4.0)) for _ in range(rounds)]
    worst = max(found, key=lambda each: each.lost)
    lost = [each.lost for each in found]
    low, high = measure.interval(lost)
    yield Result("killed, at most lost", worst.lost, 1.0, "lower", "s", low, high)
    whole = sum(each.whole for each in found) / len(found)
    title = "killed, file opens and page renders"
    yield Result(title, whole, 1.0, "higher", "share", whole, whole)


QUESTIONS = {
    "loader": loader,
    "slices": slices,
    "language": language_model,
    "libraries": libraries,
    "loggers": loggers,
    "million": million,
    "killed": killed,
}


def main() -> None:
    """Measure everything and print it."""
    parser = measure.parser(__doc__, rounds=9)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS),
                        metavar="QUESTION", help=", ".join(QUESTIONS))  # fmt: skip
    wanted = parser.parse_args()
    results: list[Result | Missing] = []
    with tempfile.TemporaryDirectory() as name:
        for question in wanted.only:
            progress(question)
            results += QUESTIONS[question](Path(name), wanted.rounds)
    measure.report(results, as_json=wanted.json)


if __name__ == "__main__":
    main()
