"""A regenerated mask is the mask that was drawn: for every dropout, layout, dtype and rate."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given as drawn
from hypothesis import strategies as st
from scipy.stats import binom
from torch import nn

import pipetrace as pt
from pipetrace.capture import draws
from pipetrace.capture.draws import Draw
from pipetrace.capture.flags import interval
from pipetrace.capture.masks import masks, regenerate
from pipetrace.capture.names import plain_name
from pipetrace.capture.tracer import Tracer
from pipetrace.parts import Mask
from pipetrace.summarise import ROW

ELEMENTS = [F.dropout, torch.dropout, torch.dropout_]
CHANNELS = [F.dropout1d, F.dropout2d, F.dropout3d, torch.feature_dropout, torch.feature_dropout_]
ALPHAS = [F.alpha_dropout, torch.alpha_dropout, torch.alpha_dropout_]
FEATURE_ALPHAS = [
    F.feature_alpha_dropout, torch.feature_alpha_dropout, torch.feature_alpha_dropout_,
]  # fmt: skip
SHAPES = {
    F.dropout1d: [(4, 6, 5), (6, 5)],
    F.dropout2d: [(4, 6, 5, 3)],
    F.dropout3d: [(4, 6, 2, 3, 2), (6, 2, 3, 2)],
}


def drawn_again(function, given: torch.Tensor, p: float, state: torch.Tensor, row=None) -> Mask:
    draw = Draw(torch.default_generator, state, ())
    form = draws.form(given)
    return regenerate(function, plain_name(function), p, form, given.device, draw, row=row)


def call(function, given: torch.Tensor, p: float):
    """Call a dropout; return its mask, its output, and the input as it was."""
    before = given.clone()
    state = torch.get_rng_state()
    output = function(given, p, True)
    after = torch.get_rng_state()
    mask = drawn_again(function, given, p, state)
    assert torch.equal(torch.get_rng_state(), after), "the stream is where the call left it"
    return mask, output, before


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("function", [*ELEMENTS, *CHANNELS], ids=plain_name)
def test_the_mask_is_the_one_that_was_drawn(function, p: float):
    torch.manual_seed(0)
    for shape in SHAPES.get(function, [(4, 6, 5)]):
        mask, output, before = call(function, torch.rand(shape) + 1, p)
        kept = output != 0
        assert mask.row == tuple(kept.reshape(-1)[:ROW].tolist())
        if function in CHANNELS:
            batched = function not in SHAPES or len(shape) == len(SHAPES[function][0])
            units = kept.flatten(2).any(2) if batched else kept.flatten(1).any(1)
            assert mask.unit == "channels"
        else:
            units = kept
            assert mask.unit == "elements"
        assert (mask.kept, mask.total) == (int(units.sum()), units.numel())
        assert torch.allclose(before[kept] * mask.scale, output[kept])
        assert mask.scale == (pytest.approx(1 / (1 - p)) if p < 1 else 0)


@pytest.mark.parametrize("p", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("function", [*ALPHAS, *FEATURE_ALPHAS], ids=plain_name)
def test_alpha_dropout_keeps_what_depends_on_the_input(function, p: float):
    """A survivor x becomes a·x + b; what is dropped becomes one number, whatever it was."""
    for seed in range(8):
        torch.manual_seed(seed)
        mask, output, before = call(function, torch.randn(3, 2, 2), p)
        torch.manual_seed(seed)
        again = function((torch.randn(3, 2, 2) + 1), p, True)
        kept = again != output
        assert mask.row == tuple(kept.reshape(-1).tolist())
        if mask.kept > 1 and p > 0:
            survivors, results = before[kept], output[kept]
            slope = (results[1:] - results[0]) / (survivors[1:] - survivors[0])
            assert torch.allclose(slope, torch.full_like(slope, mask.scale), rtol=1e-3)
        units = kept if function in ALPHAS else kept.flatten(2).any(2)
        assert (mask.kept, mask.total) == (int(units.sum()), units.numel())


LAYOUTS = {
    "contiguous": lambda new: new(40, 50),
    "transposed": lambda new: new(50, 40).T,
    "strided": lambda new: new(80, 100)[::2, ::2],
    "expanded": lambda new: new(40, 1).expand(40, 50),
    "4-D": lambda new: new(2, 5, 10, 20),
    "channels last": lambda new: new(2, 5, 10, 20).to(memory_format=torch.channels_last),
    "permuted": lambda new: new(2, 5, 10, 20).permute(3, 1, 0, 2),
    "scalar": lambda new: new(()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_and_dtype(layout: str, dtype: torch.dtype):
    torch.manual_seed(0)
    given = LAYOUTS[layout](lambda *sizes: torch.rand(*sizes).add_(1).to(dtype))
    mask, output, _ = call(F.dropout, given, 0.3)
    kept = output != 0
    assert (mask.kept, mask.total) == (int(kept.sum()), kept.numel())
    assert mask.row == tuple(kept.reshape(-1)[:ROW].tolist())
    if mask.kept:
        assert mask.scale == float(torch.tensor(1.0, dtype=dtype).div(1 - 0.3))


def test_a_zero_that_came_in_is_no_drop():
    torch.manual_seed(0)
    activations = F.relu(torch.randn(200, 100))
    ones = torch.ones(200, 100)
    state = torch.get_rng_state()
    output = F.dropout(activations, 0.3)
    torch.set_rng_state(state)
    true = F.dropout(ones, 0.3) != 0
    mask = drawn_again(F.dropout, activations, 0.3, state, row=7)
    assert mask.kept == int(true.sum()) > int((output != 0).sum())
    assert mask.row == tuple(true[7, :ROW].tolist())


def test_the_programs_default_device_and_modes_do_not_matter():
    state, plain = torch.get_rng_state(), torch.rand(4, 4)
    with torch.device("meta"):
        mask = drawn_again(F.dropout, plain, 0.5, state, row=0)
    assert mask == drawn_again(F.dropout, plain, 0.5, state, row=0)


def heard(function, *args, **kwargs) -> Mask | str | None:
    """Return the mask of one call that a tracer hears."""
    tracer = Tracer(nn.Identity(), rows=2)
    with tracer.watching():
        function(*args, **kwargs)
    return masks(tracer.heard, rows=2, row=0).get(0)


def test_how_a_dropout_was_called():
    x = torch.ones(2, 3)
    assert heard(F.dropout, x).p == 0.5, "its defaults, not the module's mode"
    assert heard(F.dropout, x, 0.2, False) is None
    assert heard(F.dropout, x, training=False) is None
    assert heard(F.alpha_dropout, x) is None
    assert heard(F.dropout2d, torch.ones(2, 3, 1, 1), p=0.1).p == 0.1
    assert heard(torch.dropout, x, 0.2, True).p == 0.2
    assert heard(torch.feature_alpha_dropout_, x.clone(), 0.2, True).p == 0.2
    assert heard(F.dropout, x, 1.0).kept == 0
    assert heard(F.relu, x) is None


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def trace(model, *args):
    """Trace a call; return its output, and the masks of its ops, or why there is none."""
    torch.manual_seed(0)
    run = pt.trace(model if isinstance(model, nn.Module) else Call(model), *args)
    return run.output, [op.mask or op.mask_missing for op in run.ops
                        if op.mask or op.mask_missing]  # fmt: skip


MODULES = {
    nn.Dropout: [(4, 6), (4, 6, 5), (300, 220)],
    nn.Dropout1d: [(4, 6, 5), (300, 20, 11)],
    nn.Dropout2d: [(4, 6, 5, 3), (300, 20, 2, 6)],
    nn.Dropout3d: [(4, 6, 2, 3, 2)],
}


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", MODULES)
def test_dropout_modules(kind: type[nn.Module], p: float, inplace: bool):
    for shape in MODULES[kind]:
        x = torch.rand(shape) + 1
        output, (mask,) = trace(kind(p, inplace=inplace), x.clone())
        kept = output != 0
        assert torch.allclose(output, x * kept * mask.scale)
        units = kept if kind is nn.Dropout else kept.flatten(2)[..., 0]
        assert (mask.p, mask.kept, mask.total) == (p, int(units.sum()), units.numel())
        assert (mask.low, mask.high) == interval(units.numel(), 1 - p)
        assert mask.row == tuple(kept[0].reshape(-1)[:ROW].tolist())
        assert mask.unit == ("elements" if kind is nn.Dropout else "channels")
        assert trace(kind(p, inplace=inplace).eval(), x)[1] == []


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_alpha_dropout_modules(kind: type[nn.Module], p: float):
    """Two inputs from one seed: what differs in both outputs was kept, and by how much."""
    one, other = torch.rand(4, 6, 5), torch.rand(4, 6, 5) + 2
    first, (mask,) = trace(kind(p), one)
    second, (same,) = trace(kind(p), other)
    assert mask == same
    kept = first != second
    units = kept if kind is nn.AlphaDropout else kept[..., 0]
    assert (mask.p, mask.kept, mask.total) == (p, int(units.sum()), units.numel())
    assert mask.row == tuple(kept[0].reshape(-1)[:ROW].tolist())
    slopes = (second - first)[kept] / (other - one)[kept]
    assert torch.allclose(slopes, torch.full_like(slopes, mask.scale), atol=1e-5)


FUNCTIONAL = {
    "its defaults": lambda x: F.dropout(x),
    "by position": lambda x: F.dropout(x, 0.5, True),
    "in place, by position": lambda x: F.dropout(x, 0.5, True, True),
    "by keyword": lambda x: F.dropout(input=x, p=0.5, training=True, inplace=True),
    "torch.dropout": lambda x: torch.dropout(x, 0.5, True),
    "torch.dropout by keyword": lambda x: torch.dropout(x, p=0.5, train=True),
    "torch.dropout_": lambda x: torch.dropout_(x, 0.5, train=True),
    "native": lambda x: torch.native_dropout(x, 0.5, True)[0],
    "an operator": lambda x: torch.ops.aten.native_dropout.default(x, 0.5, True)[0],
    "p as a tensor": lambda x: F.dropout(x, torch.tensor(0.5)),
    "a view": lambda x: F.dropout(x.T, 0.5).T,
    "frozen": lambda x: F.dropout(x.detach(), 0.5),
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional_dropout_through_a_trace(name: str):
    x = torch.rand(8, 6) + 1
    output, (mask,) = trace(lambda x: FUNCTIONAL[name](x.clone()), x)
    kept = output != 0
    assert torch.allclose(output, x * kept * mask.scale)
    assert (mask.p, mask.kept, mask.total) == (0.5, int(kept.sum()), 48)
    shown = kept.T if name == "a view" else kept[0]
    assert mask.row == tuple(shown.reshape(-1)[:ROW].tolist())


@pytest.mark.parametrize("call", [
    lambda x: F.dropout(x, 0.5, False), lambda x: F.dropout(x, training=False),
    lambda x: torch.dropout(x, 0.5, train=False), lambda x: F.dropout(x[:0], 0.5),
])  # fmt: skip
def test_a_dropout_that_drops_nothing_has_no_mask(call):
    assert trace(call, torch.ones(4, 6))[1] == []


@pytest.mark.filterwarnings("ignore:.*prototype", "ignore:dropout2d:UserWarning")
def test_where_a_dropout_cannot_be_drawn_again_the_reason_is_told():
    rows = [torch.ones(3, 2), torch.ones(2, 2)]
    nested = trace(lambda x: F.dropout(torch.nested.nested_tensor(list(x)), 0.5).unbind()[0], rows)
    assert nested[1] == ["the mask of a nested, sparse or mapped tensor is not drawn again"]
    # Of three dimensions the first is a batch's, and PyTorch warns: once, in the own call.
    output, (mask,) = trace(lambda x: F.dropout2d(x, 0.5), torch.ones(4, 6, 5))
    assert mask.kept == int((output != 0)[..., 0].sum())


def test_where_by_chance_none_is_kept_the_scale_is_that_of_a_survivor():
    output, (mask,) = trace(lambda x: F.dropout(x, 0.999), torch.ones(3))
    assert not output.any()
    assert (mask.kept, mask.scale) == (0, pytest.approx(1000))


def test_dropout_under_vmap_keeps_the_trace():
    """What a transform works on is not kept: whatever is told of its mask, it is no wrong one."""
    x = torch.rand(4, 6) + 1
    call = torch.func.vmap(lambda row: F.dropout(row, 0.5), randomness="different")
    output, told = trace(call, x)
    kept = int((output != 0).sum())
    assert all(isinstance(mask, str) or mask.kept == kept for mask in told)


def test_dropout_in_lower_precision_by_autocast():
    def forward(x):
        with torch.autocast("cpu", torch.bfloat16):
            weights = torch.eye(x.shape[-1])
            return F.dropout(x @ weights, 0.5)

    x = torch.rand(8, 6) + 1
    output, (mask,) = trace(forward, x)
    assert output.dtype == torch.bfloat16
    assert (mask.kept, mask.total) == (int((output != 0).sum()), 48)


def test_every_dropout_module_is_one_of_the_known_functions():
    """A new dropout layer in PyTorch shows up here."""
    layers = {name for name in dir(nn) if name.endswith(("Dropout", "Dropout1d", "Dropout2d"))}
    layers |= {name for name in dir(nn) if name.startswith("Dropout")}
    assert layers == {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
                      "FeatureAlphaDropout"}  # fmt: skip


@drawn(st.integers(1, 5000), st.floats(0.001, 0.999))
def test_the_interval_is_scipys(total: int, share: float):
    low, high = interval(total, share)
    for edge, found in ((0.025, low), (0.975, high)):
        # Equal but for a cumulated probability within rounding of the edge.
        assert binom.cdf(found, total, share) >= edge - 1e-9
        assert binom.cdf(found - 1, total, share) < edge + 1e-9


@pytest.mark.parametrize("total", [1, 10, 640, 20_000, 10**6, 10**8])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_the_interval_of_a_large_mask_is_scipys(total: int, share: float):
    assert interval(total, share) == tuple(map(int, binom.interval(0.95, total, share)))


def test_where_nothing_is_random_the_interval_is_a_point():
    assert interval(0, 0.5) == (0, 0)
    assert interval(10, 0.0) == (0, 0)
    assert interval(10, 1.0) == (10, 10)


def test_the_intervals_hold_the_drawn_masks_as_often_as_they_say():
    torch.manual_seed(0)
    draws, inside = 400, 0
    for _ in range(draws):
        mask, _, _ = call(F.dropout, torch.ones(32, 20), 0.3)
        inside += mask.low <= mask.kept <= mask.high
    assert math.isclose(inside / draws, 0.95, abs_tol=0.035)
