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
    form = torch.empty_like(given, device="meta")
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
        assert mask.scale == (pytest.approx(1 / (1 - p)) if mask.kept else 0)


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
