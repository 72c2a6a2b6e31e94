"""The study of the dropout lesson compares like with like, and its target can be reached."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import pipetrace.lessons
from pipetrace.examples.dropout_study import PLACES, make_model, make_rows, train

LESSON = Path(pipetrace.lessons.__file__).parent / "dropout" / "lesson.toml"
CURVES = {"training loss", "held-out loss", "held-out accuracy"}
SHARE = 0.25
"""Of the choices, so many reach the target at most."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def study():
    return tomllib.loads(LESSON.read_text(encoding="utf-8"))["study"]


def chosen():
    return {knob["id"]: knob["values"][knob["chosen"]] for knob in study()["knobs"]}


def reached(settings, seed=0) -> bool:
    target = study()["target"]
    return train(seed=seed, **settings)[target["measure"]][-1] <= target["at_most"]


def test_a_training_gives_three_numbers_for_each_epoch_and_prints_nothing(capsys):
    curves = train(seed=0, rows=120, steps=18)
    assert set(curves) == CURVES
    assert {len(values) for values in curves.values()} == {5}  # of 4 batches each: 20 steps
    assert capsys.readouterr() == ("", "")


def test_the_seed_decides_everything_whatever_was_drawn_before():
    first = train(seed=3, steps=16)
    torch.rand(7)
    assert train(seed=3, steps=16) == first
    assert train(seed=4, steps=16) != first


@pytest.mark.parametrize("placement", PLACES)
def test_dropout_of_nothing_equals_no_dropout_bit_for_bit(placement: str):
    without = train(seed=1, placement="none", steps=40)
    assert train(seed=1, placement=placement, p=0.0, steps=40) == without
    assert train(seed=1, placement=placement, p=0.5, steps=40) != without


def test_each_placement_puts_the_layer_where_it_says():
    names = {
        place: [type(layer).__name__ for layer in make_model(0.3, place, 10)]
        for place in (*PLACES, "none")
    }
    assert names == {
        "inputs": ["Dropout", "Linear", "ReLU", "Linear"],
        "hidden": ["Linear", "ReLU", "Dropout", "Linear"],
        "logits": ["Linear", "ReLU", "Linear", "Dropout"],
        "none": ["Linear", "ReLU", "Linear"],
    }


def test_what_is_held_out_has_no_part_in_the_scale():
    torch.manual_seed(0)
    x, y, x_held_out, y_held_out = make_rows(120)
    assert (x.shape, len(y)) == ((120, 20), 120)
    assert (x_held_out.shape, len(y_held_out)) == ((1000, 20), 1000)
    torch.testing.assert_close(x.mean(0), torch.zeros(20), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0), torch.ones(20))
    assert (x_held_out.std(0) - 1).abs().max() > 0.01


def test_comparisons_differ_in_p_alone_and_name_what_train_takes():
    for comparison in study()["comparisons"]:
        with_, without = dict(comparison["with"]), dict(comparison["without"])
        assert with_.pop("p") > 0
        assert without.pop("p") == 0
        assert with_ == without
        assert set(train(seed=0, **comparison["with"], steps=1)) == CURVES
        assert comparison["measure"] in CURVES


def test_some_choices_reach_the_target_and_the_start_does_not():
    knobs = study()["knobs"]
    choices = [
        dict(zip((knob["id"] for knob in knobs), values, strict=True))
        for values in itertools.product(*(knob["values"] for knob in knobs))
    ]
    assert len(choices) <= 80
    assert not reached(chosen())
    hits = sum(map(reached, choices))
    assert 1 <= hits <= SHARE * len(choices)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_target_does_not_hang_on_one_seed(seed: int):
    assert not reached(chosen(), seed)
    candidates = [
        {"p": 0.3, "placement": "inputs", "width": width, "rows": 240} for width in (10, 64)
    ]
    assert any(reached(settings, seed) for settings in candidates)
