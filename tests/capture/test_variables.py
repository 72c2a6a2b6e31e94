"""Reading the variables of a running function leaves no trace in the program."""

from __future__ import annotations

import sys
import weakref

import torch
from torch import nn

from pipetrace.capture import places
from pipetrace.capture.variables import look


def test_variables_are_shown():
    here = 3
    assert look(sys._getframe(), lambda known: known["here"]) == here


def test_what_is_deleted_afterwards_goes():
    class Thing:
        pass

    thing = Thing()
    ref = weakref.ref(thing)
    assert look(sys._getframe(), lambda known: known["thing"] is ref())
    del thing
    assert ref() is None


def test_a_snapshot_that_the_program_holds_stays_as_it_is():
    held = locals()
    before = dict(held)
    later = 1
    look(sys._getframe(), len)
    assert held == before or sys.version_info >= (3, 13)
    assert later


def test_the_variables_of_a_module_or_of_exec_stay():
    space: dict[str, object] = {"look": look, "sys": sys}
    exec("one = 1\nfound = look(sys._getframe(), lambda known: known['one'])", {}, space)
    assert space["found"] == space["one"] == 1


def test_a_constructor_that_holds_its_variables_makes_its_modules():
    class Net(nn.Module):
        def __init__(self, width: int):
            config = locals()
            super().__init__()
            self.inner = nn.Linear(width, 2)
            self.outer = nn.Linear(2, config["width"])

    end = places.watch_making()
    try:
        model = Net(4)
    finally:
        end()
    made = [places.maker(module) for module in (model, model.inner)]
    assert [each.text for each in made if each] == [
        "model = Net(4)", "self.inner = nn.Linear(width, 2)"
    ]  # fmt: skip
    assert model.outer(torch.ones(1, 2)).shape == (1, 4)
