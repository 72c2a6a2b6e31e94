"""Models that nobody complains of are checked without a word; scripts in `test_noninterference`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from confirmed import CONFIRMED
from watching import script

import pipetrace as pt
from pipetrace.examples import dropout
from zoo import catalogue

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", catalogue.HANDMADE)
def test_a_small_model_is_left_in_peace(name: str):
    torch.manual_seed(0)
    architecture = catalogue.find(name)
    model = architecture.build()
    args, kwargs = architecture.inputs(model)
    assert not kwargs
    found = pt.check(model, tuple(args))
    assert {each.id for each in found if each.grave} == CONFIRMED.get(name, set()), found


def test_the_built_in_example_is_left_in_peace():
    assert [each for each in script(Path(dropout.__file__)) if each.grave] == []
