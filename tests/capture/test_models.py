"""A root's inventory lists every submodule with its own parameters, mode and maker."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipetrace.capture import places
from pipetrace.capture.models import inventory, kind


@pytest.fixture(autouse=True)
def watched():
    end = places.watch_making()
    yield
    end()


def test_parameters_modes_details_and_makers():
    model = nn.Sequential(
        nn.Dropout(0.3),
        nn.Linear(20, 10),
        nn.ReLU(),
    )
    model[1].weight.requires_grad_(False)
    model[0].eval()
    told = inventory(model, 3)
    assert (told.id, told.type, told.device) == (3, "Sequential", "cpu")
    assert (told.parameters, told.trainable) == (210, 10)
    assert [(part.path, part.type, part.detail) for part in told.modules] == [
        ("", "Sequential", ""),
        ("0", "Dropout", "p=0.3, inplace=False"),
        ("1", "Linear", "in_features=20, out_features=10, bias=True"),
        ("2", "ReLU", ""),
    ]
    assert [part.training for part in told.modules] == [True, False, True, True]
    assert [(part.parameters, part.trainable) for part in told.modules] == [
        (0, 0), (0, 0), (210, 10), (0, 0),
    ]  # fmt: skip
    assert told.modules[2].made.text == "nn.Linear(20, 10),"


def test_a_model_without_parameters_has_no_device():
    told = inventory(nn.Identity(), 0)
    assert (told.parameters, told.device) == (0, "")


def test_tied_weights_count_once_in_the_whole_and_in_each_part():
    model = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    told = inventory(model, 0)
    assert told.parameters == 15
    assert [part.parameters for part in told.modules] == [0, 15, 15]


def test_a_shared_module_is_listed_once():
    layer = nn.Linear(2, 2)
    told = inventory(nn.Sequential(layer, nn.ReLU(), layer), 0)
    assert [part.path for part in told.modules] == ["", "0", "1"]


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_parameters_have_no_size_yet():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    assert inventory(model, 0).parameters == 0
    model(torch.ones(3, 2))
    assert inventory(model, 0).parameters == 2 * 4 + 4 + 8


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_scripted_modules_keep_the_names_of_their_classes():
    model = nn.Sequential(torch.jit.script(nn.Linear(2, 3)), nn.ReLU())
    told = inventory(model, 0)
    assert [part.type for part in told.modules] == ["Sequential", "Linear", "ReLU"]
    assert told.parameters == 9
    assert kind(torch.jit.script(nn.Sequential(nn.ReLU()))) == "Sequential"


class Rude(nn.Module):
    def extra_repr(self) -> str:
        raise ZeroDivisionError


class Long(nn.Module):
    def extra_repr(self) -> str:
        return "x" * 1000


def test_an_extra_repr_may_fail_or_never_end():
    assert inventory(Rude(), 0).modules[0].detail == ""
    assert inventory(Long(), 0).modules[0].detail == "x" * 200
