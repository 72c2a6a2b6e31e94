"""Between a snapshot and its return a model may do anything: it comes back as it was."""

from __future__ import annotations

import random
import sys
from collections import defaultdict, deque

import numpy as np
import pytest
import torch
from torch import nn

from pipetrace.capture.guard import Snapshot, Streams, cuda_in_use, identical

STEPS = 0
HISTORY: list[float] = []


def draws() -> tuple[float, float, float, float]:
    rng = np.random.normal()  # the stream that scripts use
    return torch.rand(1).item(), rng, random.random(), random.gauss(0, 1)


def test_streams_come_back():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    draws()
    streams = Streams.take()
    first = draws()
    assert not streams.same(Streams.take())
    streams.put_back()
    assert streams.same(Streams.take())
    assert draws() == first


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: np.random.rand(), random.random])
def test_each_stream_is_compared(draw):
    streams = Streams.take()
    assert streams.same(Streams.take())
    draw()
    assert not streams.same(Streams.take())


def test_numpy_may_use_any_bit_generator():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        streams = Streams.take()
        first = np.random.rand()
        assert not streams.same(Streams.take())
        streams.put_back()
        assert np.random.rand() == first
    finally:
        np.random.set_bit_generator(before)


def test_asking_for_cuda_does_not_start_it():
    assert cuda_in_use() == torch.cuda.is_initialized()
    Streams.take()
    assert cuda_in_use() == torch.cuda.is_initialized()


class Meter:
    def __init__(self) -> None:
        self.count = 0
        self.values: list[float] = []

    def add(self, value: float) -> None:
        self.count += 1
        self.values.append(value)


class Restless(nn.Module):
    """Leaves something behind in every way that people write."""

    total = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(1))
        self.calls = 0
        self.last = None
        self.state = torch.zeros(3)
        self.items: list[torch.Tensor] = []
        self.nested = {"deep": [{"count": 0}], "tensor": torch.zeros(2)}
        self.kinds = {"a"}
        self.recent = deque([1], maxlen=2)
        self.by_name = defaultdict(list)
        self.array = np.zeros(2)
        self.meter = Meter()
        self.hidden = [nn.BatchNorm1d(3)]
        self.generator = torch.Generator().manual_seed(3)
        self.numpy = np.random.default_rng(3)
        self.python = random.Random(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        global STEPS
        STEPS += 1
        HISTORY.append(float(x.sum()))
        Restless.total += 1
        self.calls += 1
        self.late = self.calls
        if not hasattr(self, "lazy"):
            self.lazy = nn.Linear(3, 3)
        self.last = x
        self.state += 1
        self.items.append(x)
        self.nested["deep"][0]["count"] += 1
        self.nested["tensor"].add_(1)
        self.kinds.add("b")
        self.recent.append(self.calls)
        self.by_name["calls"].append(1)
        self.array += 1
        self.meter.add(float(x.mean()))
        self.seen += 1
        x = self.dropout(self.norm(self.linear(x))) + self.hidden[0](x)
        x = x + torch.rand(3, generator=self.generator)
        noise = self.numpy.random() + self.python.random() + np.random.rand() + random.random()
        return self.lazy(x) + self.state + noise


def facts(net: Restless) -> dict:
    """Return all that a forward leaves behind, by value."""

    def copied(buffers):
        return {name: buffer.clone() for name, buffer in buffers}

    return {
        "steps": STEPS, "history": list(HISTORY), "total": Restless.total,
        "calls": net.calls, "late": getattr(net, "late", "never"), "last": net.last,
        "state": net.state.tolist(), "items": list(map(id, net.items)),
        "nested": str(net.nested), "kinds": set(net.kinds), "recent": list(net.recent),
        "by_name": dict(net.by_name), "array": net.array.tolist(),
        "meter": (net.meter.count, list(net.meter.values)),
        "buffers": str(copied(net.named_buffers())),
        "hidden": str(copied(net.hidden[0].named_buffers())),
        "generators": (net.generator.get_state().tolist(), str(net.numpy.bit_generator.state),
                       net.python.getstate()),
        "modules": list(map(id, net.modules())), "parameters": list(map(id, net.parameters())),
    }  # fmt: skip


def identities(net: Restless) -> list[int]:
    things = [net.state, net.items, net.nested, net.nested["deep"], net.nested["tensor"],
              net.kinds, net.recent, net.by_name, net.array, net.meter, net.hidden,
              net.generator, net.seen, net.norm.running_mean, HISTORY]  # fmt: skip
    return list(map(id, things))


X = torch.arange(12.0).view(4, 3)


def test_a_replay_starts_where_the_snapshot_was_taken_and_leaves_the_present():
    torch.manual_seed(0)
    net = Restless()
    snapshot = Snapshot(net)
    output = net(X)
    present, objects = facts(net), identities(net)
    streams, lazy = Streams.take(), net.lazy
    for _ in range(2):
        with snapshot.replayed():
            again = net(X)
            assert net.lazy is not lazy
            assert net.calls == 1
        assert identical(again, output), "the same bits, from the same state"
        assert facts(net) == present
        assert identities(net) == objects
        assert streams.same(Streams.take())
    assert net.lazy is lazy
    assert snapshot.differences(net)["modes"] == []


def test_keeping_comes_back_to_the_snapshot():
    net = Restless()
    net(X)
    before, objects, streams = facts(net), identities(net), Streams.take()
    snapshot, other = Snapshot(net), Snapshot(net)
    with snapshot.kept():
        snapshot.switch(False)
        assert not net.norm.training
        net(X)
        snapshot.switch(True)
        net(X)
    assert facts(net) == before
    assert identities(net) == objects
    assert streams.same(Streams.take())
    assert other.differences(net) == {"modes": [], "buffers": []}


def test_a_replay_that_raises_comes_back_too():
    net = Restless()
    net(X)
    before, streams = facts(net), Streams.take()
    snapshot = Snapshot(net)
    with pytest.raises(RuntimeError), snapshot.replayed(False):
        net(torch.ones(2, 5))
    assert facts(net) == before
    assert streams.same(Streams.take())


def test_modes_are_set_for_what_eval_reaches_only():
    net = Restless()
    net.norm.eval()
    snapshot = Snapshot(net)
    with snapshot.replayed(False):
        assert not any(module.training for module in net.modules())
        assert net.hidden[0].training, "eval() does not reach a module in a list"
    with snapshot.replayed(True):
        assert all(module.training for module in net.modules())
    with snapshot.replayed([not inside.training for inside in snapshot.insides]):
        assert net.norm.training
        assert not net.training
        assert not net.hidden[0].training
    assert net.training
    assert not net.norm.training
    assert net.hidden[0].training


def test_a_module_does_not_hear_that_its_mode_is_set():
    class Shy(nn.Module):
        def train(self, mode: bool = True):
            raise AssertionError("train() was called")

    shy = Shy()
    with Snapshot(shy).replayed(False):
        assert not shy.training
    assert shy.training


def test_differences_name_what_moved():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    snapshot = Snapshot(net)
    assert snapshot.differences(net) == {"modes": [], "buffers": []}
    net(X)
    net[0].eval()
    moved = snapshot.differences(net)
    assert moved["modes"] == ["0"]
    assert moved["buffers"] == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    net.train(False)
    assert snapshot.differences(net)["modes"] == ["the root", "0", "1"]


def test_a_lookup_that_renews_its_weight_writes_into_a_copy():
    net = nn.Sequential(nn.Embedding(5, 3, max_norm=1.0), nn.Linear(3, 5, bias=False))
    net[1].weight = net[0].weight
    with torch.no_grad():
        net[0].weight.mul_(10)
    before, version = net[0].weight.detach().clone(), net[0].weight._version
    parameter = net[0].weight
    snapshot = Snapshot(net)
    index = torch.tensor([0, 1])
    with snapshot.replayed(), torch.no_grad():
        first = net(index)
        assert net[0].weight is net[1].weight
    assert net[0].weight is net[1].weight is parameter
    assert torch.equal(parameter, before)
    assert parameter._version == version
    output = net(index)
    assert identical(first, output.detach())
    output.sum().backward()


def test_a_backward_may_follow_a_replay():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(inplace=True))
    snapshot = Snapshot(net)
    output = net(X)
    with snapshot.replayed(), torch.no_grad():
        net(X)
    output.sum().backward()
    assert net[0].weight.grad is not None


def test_buffers_made_in_inference_mode_are_guarded():
    net = nn.BatchNorm1d(3)
    with torch.inference_mode():
        net.running_mean = torch.zeros(3)
        snapshot = Snapshot(net)
        net(X)
        mean = net.running_mean.clone()
        with snapshot.replayed():
            net(X)
            assert torch.equal(net.running_mean, mean)
        assert torch.equal(net.running_mean, mean)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_statistics_inside_a_scripted_part_are_guarded():
    net = nn.Sequential(torch.jit.script(nn.BatchNorm1d(3)), nn.Linear(3, 3))
    snapshot = Snapshot(net)
    net(X)
    mean = net[0].running_mean.clone()
    with snapshot.replayed():
        net(X)
    with snapshot.replayed(False):
        assert not net[0].training
    assert torch.equal(net[0].running_mean, mean)
    assert snapshot.differences(net)["buffers"][0] == "0.running_mean"
    net.eval()
    assert not net[0].training
    assert "training" not in net[0].__dict__


def kinds() -> dict[str, torch.Tensor]:
    matrix = torch.tensor([[0.0, 1.0], [float("nan"), -0.0]])
    return {
        "float": matrix, "complex": torch.complex(matrix, matrix), "conjugate":
        torch.complex(matrix, matrix).conj(), "bool": matrix > 0, "int": torch.arange(4),
        "half": matrix.half(), "bfloat": matrix.bfloat16(), "scalar": torch.tensor(1.0),
        "empty": torch.empty(0, 2), "transposed": matrix.T, "expanded": matrix[:1].expand(3, 2),
        "sparse": matrix.to_sparse(), "uncoalesced": torch.sparse_coo_tensor(
            [[0, 0], [1, 1]], [1.0, 2.0], (2, 2), check_invariants=True),
        "csr": matrix.to_sparse_csr(), "csc": matrix.to_sparse_csc(),
        "bsr": matrix.to_sparse_bsr((1, 1)), "bsc": matrix.to_sparse_bsc((1, 1)),
        "mkldnn": torch.ones(2, 2).to_mkldnn(), "meta": torch.empty(2, 2, device="meta"),
        "quantised": torch.quantize_per_tensor(torch.rand(2, 2), 0.1, 0, torch.quint8),
        "nested": torch.nested.nested_tensor([torch.ones(1, 2), torch.ones(3, 2)]),
        "jagged": torch.nested.nested_tensor([torch.ones(1, 2), torch.ones(3, 2)],
                                             layout=torch.jagged),
        "float8": torch.ones(2, 2).to(torch.float8_e4m3fn),
    }  # fmt: skip


KINDS = ["float", "complex", "conjugate", "bool", "int", "half", "bfloat", "scalar", "empty",
         "transposed", "expanded", "sparse", "uncoalesced", "csr", "csc", "bsr", "bsc", "mkldnn",
         "meta", "quantised", "nested", "jagged", "float8"]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_a_tensor_of_any_kind_is_identical_to_its_copy_only(name: str):
    every = kinds()
    one, twin = every[name], every[name].clone()
    assert identical(one, twin)
    if "meta" not in name:
        others = [other for key, other in every.items() if key not in (name, "meta")]
        assert not any(identical(one, other) for other in others)


def test_one_bit_makes_a_difference():
    one = torch.tensor([1.0, float("nan"), 0.0])
    assert identical(one, one.clone())
    assert not identical(one, torch.tensor([1.0, float("nan"), -0.0]))
    nextafter = torch.nextafter(one, torch.tensor(2.0))
    assert not identical(one[:1], nextafter[:1])
    assert not identical(one, one.double())
    assert not identical(one, one.view(1, 3))


def test_without_numpy_there_is_no_stream_of_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    streams = Streams.take()
    streams.put_back()
    assert streams.numpy is None
    assert streams.same(Streams.take())
