"""The built-in example learns what its page is about, for nearly every seed."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from pipetrace.examples import dropout

SEEDS = range(20)
ENOUGH = 18


class Scores(NamedTuple):
    """Loss and accuracy of the training rows with dropout off, untrained and after five epochs."""

    first_loss: float
    first_accuracy: float
    last_loss: float
    last_accuracy: float


@pytest.fixture(scope="module")
def runs() -> list[Scores]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    scores = []
    for seed in SEEDS:
        x, y, _, _ = dropout.make_rows(seed)
        torch.manual_seed(seed)
        untrained = dropout.evaluate(dropout.make_model(0.3), x, y)
        model = dropout.train(epochs=5, seed=seed, data_seed=seed, p=0.3)
        scores.append(Scores(*untrained, *dropout.evaluate(model, x, y)))
    torch.set_num_threads(threads)
    return scores


def test_training_ends_in_the_promised_bands(runs: list[Scores]):
    """Loss of 0.30-0.45 and accuracy of 0.85-0.92 for at least 18 of 20 seeds."""
    good = [0.30 <= run.last_loss <= 0.45 and 0.85 <= run.last_accuracy <= 0.92 for run in runs]
    assert sum(good) >= ENOUGH, runs


def test_training_starts_from_the_shares_of_the_classes(runs: list[Scores]):
    """A loss near 1.1 and an accuracy of 0.35-0.45, untrained, for at least 18 of 20 seeds."""
    good = [1.0 <= run.first_loss <= 1.2 and 0.35 <= run.first_accuracy <= 0.45 for run in runs]
    assert sum(good) >= ENOUGH, runs


@pytest.mark.parametrize("seed", [0, 7])
def test_rows_are_what_the_docstring_says(seed: int):
    x, y, x_held_out, y_held_out = dropout.make_rows(seed)
    assert (x.shape, x_held_out.shape) == ((1000, 20), (500, 20))
    assert (len(y), len(y_held_out)) == (1000, 500)
    assert sorted(set(y.tolist())) == sorted(set(y_held_out.tolist())) == [0, 1, 2]
    torch.testing.assert_close(x.mean(0), torch.zeros(20), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0), torch.ones(20), atol=1e-5, rtol=0)
    means = torch.stack([x[y == label].mean(0) for label in range(3)])
    spread = means.std(0)
    assert spread[:10].mean() > 3 * spread[10:].mean()
    assert not (x[:, None] == x_held_out[None, :20]).all(2).any()


def test_the_same_seeds_give_the_same_run(capsys: pytest.CaptureFixture[str]):
    first = dropout.train(epochs=1, seed=3, data_seed=4).state_dict()
    once = capsys.readouterr().out
    again = dropout.train(epochs=1, seed=3, data_seed=4).state_dict()
    assert capsys.readouterr().out == once
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_held_out_rows_are_scored_in_eval_mode():
    x, y, _, _ = dropout.make_rows(0)
    torch.manual_seed(0)
    model = dropout.make_model(0.9)
    assert dropout.evaluate(model, x, y) == dropout.evaluate(model, x, y)
    assert not model.training
