"""Modules that are not registered are named by where they are kept."""

from __future__ import annotations

import functools

import torch
from torch import nn

from pipetrace.capture.reach import Reach
from pipetrace.capture.strangers import paths

DROP = nn.Dropout()


class Plain:
    def __init__(self, module: nn.Module) -> None:
        self.module = module


class Holder(nn.Module):
    def __init__(self, **kept) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1)
        for name, value in kept.items():
            setattr(self, name, value)


def named(**kept) -> set[str]:
    return set(paths(Holder(**kept)).values())


def test_containers_are_indexed():
    assert named(drops=[DROP, nn.ReLU()]) == {"drops[0]", "drops[1]"}
    assert named(drops={"a": (DROP,)}) == {"drops['a'][0]"}


def test_objects_functions_and_what_they_are_bound_to_are_looked_into():
    assert named(plain=Plain(DROP)) == {"plain.module"}
    assert named(bound=functools.partial(torch.add, DROP)) == {"bound.args[0]"}
    assert named(bound=DROP.forward) == {"bound.__self__"}
    assert named(function=(lambda drop: lambda x: drop(x))(DROP)) == {"function.drop"}
    assert named(function=lambda x, drop=DROP: drop(x)) == {"function(0)"}


def test_what_is_inside_of_a_stranger_is_one_too():
    block = nn.Sequential(nn.Linear(1, 1), DROP)
    assert named(blocks=[block]) == {"blocks[0]", "blocks[0].0", "blocks[0].1"}
    model = Holder(blocks=[block])
    assert DROP in Reach(model).modules[Reach(model).registered :]


def test_the_path_of_a_registered_holder_comes_first():
    model = nn.Sequential(Holder(drops=[DROP]))
    assert set(paths(model).values()) == {"0.drops[0]"}


def test_registered_modules_are_no_strangers():
    assert named(drop=DROP) == set()
    model = Holder(drop=DROP)
    model.order = [model.drop, model.inner]
    assert paths(model) == {}
