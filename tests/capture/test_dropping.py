"""Recorded draws are what the real layer does, and the model leaves as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.capture import replay
from pipetrace.capture.dropping import draw, dropping
from pipetrace.capture.guard import Snapshot
from pipetrace.probed import Draws
from pipetrace.records import Op


def called(model: nn.Module, *args: torch.Tensor) -> tuple[replay.Call, list[Op]]:
    """Capture one forward in eval mode."""
    with torch.no_grad():
        call = replay.prepare(model, args, {})
    outcome = replay.replay(
        call, id=0, model_id=0, purpose="prediction", modes=False, compare=False
    )
    return call, [fact for fact in outcome.facts if isinstance(fact, Op)]


def flags(found: Draws, rate: int, draw: int) -> list[bool]:
    bits = "".join(f"{byte:08b}" for byte in found.masks[rate][draw])
    assert set(bits[len(found.values) :]) <= {"0"}
    return [bit == "1" for bit in bits[: len(found.values)]]


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3)).eval()


def test_each_draw_gives_what_the_recorded_mask_gives(model: nn.Sequential):
    x = torch.randn(1, 20)
    call, ops = called(model, x)
    found = draw(call, ops, 0)
    assert found is not None
    assert found.rates == tuple(tenth / 10 for tenth in range(10))
    assert found.values == pytest.approx(x[0].tolist())
    assert [len(masks) for masks in found.masks] == [32] * 10
    linear, output = found.outputs
    assert (linear.name, output.name) == ("1", "output")
    with torch.no_grad():
        assert linear.off == pytest.approx(model[1](x)[0].tolist(), abs=1e-5)
        for rate, p in enumerate(found.rates):
            assert found.scales[rate] == pytest.approx(1 / (1 - p))
            assert len(linear.draws[rate]) == len(output.draws[rate]) == 32
            for each in (0, 7, 8, 31):
                kept = torch.tensor(flags(found, rate, each))
                dropped = torch.where(kept, x * found.scales[rate], 0.0)
                wanted = model[1](dropped)
                assert linear.draws[rate][each] == pytest.approx(wanted[0].tolist(), abs=1e-5)
                wanted = model[3](model[2](wanted))
                assert output.draws[rate][each] == pytest.approx(wanted[0].tolist(), abs=1e-5)


def test_as_many_are_kept_as_the_rate_says(model: nn.Sequential):
    call, ops = called(model, torch.randn(1, 20))
    found = draw(call, ops, 0)
    assert found is not None
    for rate, p in enumerate(found.rates):
        kept = sum(sum(flags(found, rate, each)) for each in range(32))
        spread = (640 * p * (1 - p)) ** 0.5
        assert abs(kept - 640 * (1 - p)) <= 5 * spread


def test_a_seed_decides_the_mask(model: nn.Sequential):
    call, ops = called(model, torch.randn(1, 20))
    one, same, other = (draw(call, ops, 0, rate=0.5, count=1, seed=seed) for seed in (1, 1, 2))
    assert one is not None
    assert other is not None
    assert (one.rates, one.p, len(one.masks[0])) == ((0.5,), 0.3, 1)
    assert one == same
    assert one.masks != other.masks


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_edges_of_the_rate(p: float):
    model = nn.Sequential(nn.Dropout(p), nn.Linear(9, 2)).eval()
    call, ops = called(model, torch.randn(1, 9))
    found = draw(call, ops, 0)
    assert found is not None
    place = found.rates.index(p)
    assert flags(found, place, 0) == [p == 0.0] * 9
    assert found.scales[place] == (1.0 if p == 0 else 0.0)


class Beside(nn.Module):
    """A residual with dropout in it, called as a function."""

    def __init__(self, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.call = nn.Linear(6, 6), nn.Linear(6, 2), call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first(x)
        return self.second(x + self.call(inner).reshape(x.shape))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.dropout(x, 0.25, training=False),
        lambda x: F.dropout(x, p=0.25, training=False, inplace=True),
        lambda x: torch.dropout(x, 0.25, False),
        lambda x: torch.native_dropout(x, 0.25, False)[0],
    ],
    ids=["function", "in place", "torch", "native"],
)
def test_functions_of_the_family_are_switched_too(call: Callable[..., Any]):
    torch.manual_seed(0)
    model, x = Beside(call).eval(), torch.randn(1, 6)
    forward, ops = called(model, x)
    (op,) = dropping(ops)
    found = draw(forward, ops, op.index)
    assert found is not None
    assert (found.p, found.outputs[0].name) == (0.25, "add")
    place = found.rates.index(0.25)
    with torch.no_grad():
        inner = model.first(x)
        kept = torch.tensor(flags(found, place, 3))
        wanted = x + torch.where(kept, inner / 0.75, 0.0)
        assert found.outputs[0].draws[place][3] == pytest.approx(wanted[0].tolist(), abs=1e-5)


def test_the_dropout_inside_of_attention_is_reached():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1).eval()
    # Sequence first: the rows are not the first dimension, so that each draw is a forward.
    call, ops = called(layer, torch.randn(5, 1, 8))
    found = [draw(call, ops, op.index) for op in dropping(ops)]
    assert len(found) == 3
    for each in found:
        assert each is not None
        assert [len(masks) for masks in each.masks] == [8] * 10
        off = each.outputs[-1]
        assert all(draw == pytest.approx(off.off, abs=1e-5) for draw in off.draws[0])
        assert any(draw != pytest.approx(off.off, abs=1e-3) for draw in off.draws[5])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout1d(0.5), (1, 8, 5)), (nn.Dropout2d(0.5), (1, 8, 2, 3)),
        (nn.Dropout3d(0.5), (1, 8, 2, 3, 2)),
    ],
)  # fmt: skip
def test_where_channels_are_dropped_each_has_one_value(layer: nn.Module, shape: tuple[int, ...]):
    torch.manual_seed(0)
    size = torch.Size(shape).numel()
    model, x = nn.Sequential(layer, nn.Flatten(), nn.Linear(size, 2)).eval(), torch.randn(shape)
    call, ops = called(model, x)
    found = draw(call, ops, 0)
    assert found is not None
    assert (found.count, found.each) == (8, size // 8)
    assert found.values == pytest.approx(x.reshape(8, -1)[:, 0].tolist())
    place = found.rates.index(0.5)
    masks = [flags(found, place, each) for each in range(32)]
    assert len({tuple(mask) for mask in masks}) > 16
    with torch.no_grad():
        for mask, gave in zip(masks, found.outputs[0].draws[place], strict=True):
            kept = torch.tensor(mask).reshape(1, 8, *[1] * (len(shape) - 2))
            wanted = model[2](model[1](torch.where(kept, x * 2, 0.0)))
            assert gave == pytest.approx(wanted[0].tolist(), abs=1e-5)


def test_channels_without_a_batch_are_found_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout1d(0.5), nn.Linear(5, 2)).eval()
    x = torch.randn(6, 5)
    call, ops = called(model, x)
    found = draw(call, ops, 0)
    assert found is not None
    assert (found.count, found.each) == (6, 5)
    assert found.values == pytest.approx(x[:, 0].tolist())


def test_everything_is_put_back(model: nn.Sequential):
    model.append(nn.BatchNorm1d(3))
    model.train()
    model(torch.randn(4, 20)).sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    call, ops = called(model, torch.randn(1, 20))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    before = Snapshot(model)
    assert draw(call, ops, 0) is not None
    assert before.streams.same(Snapshot(model).streams)
    assert before.differences(model) == {"modes": [], "buffers": []}
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert all(
        parameter.grad.equal(gradient)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True)
    )


def test_alpha_dropout_is_no_multiplication():
    model = nn.Sequential(nn.Linear(4, 4), nn.AlphaDropout(0.5)).eval()
    assert dropping(called(model, torch.randn(1, 4))[1]) == []
