"""What a forward can write to is found wherever people keep it, and what is not theirs is left."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from pipetrace.capture.reach import Reach, Space

TOTAL = 0
LOG: list[str] = []
TEACHER = nn.Linear(2, 2)
HUGE = torch.zeros(3)


def noted(x: torch.Tensor) -> torch.Tensor:
    LOG.append("noted")
    return x


class Meter:
    def __init__(self) -> None:
        self.values: list[float] = []
        self.inner = nn.Linear(1, 1)

    def update(self, module, args, output) -> None:
        self.values.append(0.0)


class Net(nn.Module):
    calls = 0
    cache: dict = {}  # noqa: RUF012  # people write it so, and this is about what they write

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(2, 2), {"deep": nn.Dropout(0.5)}]
        self.meter = Meter()
        self.own = nn.Linear(2, 2)

    def forward(self, x):
        global TOTAL
        TOTAL += 1
        Net.calls += 1
        return noted(self.own(x)) + TEACHER(x) + HUGE.sum()

    @property
    def width(self) -> int:
        return 2


def test_modules_that_are_used_without_being_registered_come_last():
    net = Net()
    reach = Reach(net)
    assert reach.registered == 2
    assert reach.modules[:2] == [net, net.own]
    others = reach.modules[2:]
    assert set(others) == {net.layers[0], net.layers[1]["deep"], net.meter.inner, TEACHER}


def bound(reach: Reach) -> set[str]:
    return {name for space in reach.spaces for name in space.read()}


def test_globals_class_attributes_and_objects_are_within_reach():
    reach = Reach(Net())
    assert {"TOTAL", "LOG", "calls", "cache", "values", "layers"} <= bound(reach)
    assert not {"noted", "Meter", "width", "forward", "torch", "nn"} & bound(reach)


def test_spaces_of_modules_stand_in_the_order_of_the_modules():
    reach = Reach(Net())
    for module, space in zip(reach.modules, reach.spaces, strict=False):
        assert space.store is module.__dict__
        assert space.owned


def hook_with_a_cell():
    seen: list[int] = []

    def hook(module, args, output):
        seen.append(1)

    return hook, seen


def test_what_hooks_close_over_is_within_reach():
    net, meter = nn.Linear(1, 1), Meter()
    hook, seen = hook_with_a_cell()
    net.register_forward_hook(hook)
    net.register_forward_hook(meter.update)
    net.register_forward_pre_hook(functools.partial(lambda box, *_: box.append(1), [seen]))
    spaces = Reach(net).spaces
    stores = [space.store for space in spaces]
    assert hook.__closure__[0] in stores
    assert any(store is vars(meter) for store in stores)
    assert not any(space.owned for space in spaces[2:])


class Callable:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module, args):
        self.count += 1


def test_an_object_that_is_a_hook_is_within_reach():
    net, hook = nn.Linear(1, 1), Callable()
    net.register_forward_pre_hook(hook)
    assert any(space.store is vars(hook) for space in Reach(net).spaces)


def test_layers_of_torch_reach_nothing_but_themselves():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    reach = Reach(model)
    assert len(reach.spaces) == len(reach.modules) == reach.registered
    assert reach.modules == list(model.modules())


def test_what_holds_itself_ends():
    net = Net()
    net.me, net.box = [net], []
    net.box.append(net.box)
    assert Reach(net).registered == 2


def test_long_containers_are_not_searched():
    net = nn.Linear(1, 1)
    net.many = [nn.Linear(1, 1)] * 2000
    assert len(Reach(net).modules) == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_module_is_read_through_its_attributes():
    model = nn.Sequential(torch.jit.script(nn.BatchNorm1d(2)))
    space = Reach(model).spaces[1]
    assert set(space.read()) == {"training", "running_mean", "running_var", "num_batches_tracked"}
    mean = torch.full((2,), 5.0)
    space.write({**space.read(), "running_mean": mean, "training": False})
    assert torch.equal(model[0].running_mean, mean)
    assert model[0].training is False


def test_a_dict_gets_its_names_back_and_no_others():
    store = {"a": 1, "b": 2, "other": 3}
    space = Space(store, ("a", "b", "c"))
    before = space.read()
    assert before == {"a": 1, "b": 2}
    store.update(a=10, c=30, other=40)
    del store["b"]
    space.write(before)
    assert store == {"a": 1, "b": 2, "other": 40}


def test_a_cell_may_be_empty():
    def outer(fill: bool):
        def inner():
            return late

        if fill:
            late = 1
        return inner.__closure__[0]

    space = Space(outer(False), ("cell_contents",), False)
    assert space.read() == {}
    space.write({"cell_contents": 2})
    assert space.read() == {"cell_contents": 2}
    space.write({})
    assert space.read() == {}


def test_a_class_is_written_to_only_where_it_changed():
    class Meta(type):
        written = 0

        def __setattr__(cls, name, value):
            Meta.written += 1
            super().__setattr__(name, value)

    class Counted(metaclass=Meta):
        calls = 0

    space = Space(Counted, ("calls",))
    space.write(space.read())
    assert Meta.written == 0
    space.write({"calls": 5})
    assert (Meta.written, Counted.calls) == (1, 5)
