"""A dropout written by hand has the mask that its own output shows, and nothing else has one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from small import with_numbers

import pipetrace as pt
from pipetrace.capture.flags import interval
from pipetrace.records import Capture
from pipetrace.summarise import EXACT, ROW


def trace(function, *args, sample: int = 0):
    """Trace a call; return its output, and the ops that say something of a mask."""
    torch.manual_seed(0)
    with pt.options(sample=sample):
        run = pt.trace(with_numbers(function), *args)
    assert run.recording.last(Capture).receipt.equal
    return run.output, [op for op in run.ops if op.mask or op.mask_missing]


def data(*sizes: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return numbers of which none is zero: a zero in what comes out was dropped."""
    torch.manual_seed(1)
    return torch.rand(sizes).add_(1).to(dtype)


def agrees(op, output: torch.Tensor, x: torch.Tensor, p: float, units: tuple, row: int | None = 0):
    """Compare a mask with the zeros of the output; `units` picks one element of each unit."""
    kept, mask = output != 0, op.mask
    assert mask is not None, op.mask_missing
    independent = kept[units]
    assert (mask.kept, mask.total) == (int(independent.sum()), independent.numel())
    assert mask.p == pytest.approx(p, abs=1e-6)
    assert (mask.low, mask.high) == interval(mask.total, 1 - mask.p)
    expected = x * kept * mask.scale
    assert torch.allclose(output, expected.to(output.dtype), rtol=0.01 if x.itemsize < 4 else 1e-5)
    has_row = row is not None and independent.shape[:1] == x.shape[:1]
    shown = independent[row] if has_row else independent
    assert mask.row == tuple(shown.reshape(-1)[:ROW].tolist())


def written_into(x, p):
    x = x.clone()
    x[torch.rand_like(x) < p] = 0
    return x


def own_generator(x, p):
    generator = torch.Generator().manual_seed(3)
    return x * (torch.rand(x.shape, generator=generator) > p) / (1 - p)


def own_generator_bernoulli(x, p):
    generator = torch.Generator().manual_seed(3)
    return x * torch.empty_like(x).bernoulli_(1 - p, generator=generator)


def in_place(x, p):
    return x.clone().mul_(torch.rand_like(x).ge_(p)).div_(1 - p)


ELEMENTS = {
    "rand_like above": lambda x, p: x * (torch.rand_like(x) > p) / (1 - p),
    "rand below": lambda x, p: x * (torch.rand(x.shape) < 1 - p).float(),
    "the number first": lambda x, p: x * (1 - p > torch.rand(x.shape)),
    "a tensor first": lambda x, p: x * torch.gt(torch.tensor(1 - p), torch.rand(x.shape)),
    "scaled in two steps": lambda x, p: torch.where(torch.rand_like(x) > p, x, 0) * 1 / (1 - p),
    "a tensor of one number": lambda x, p: x * (torch.rand_like(x) < torch.full_like(x, 1 - p)),
    "scaled before": lambda x, p: x / (1 - p) * (torch.rand_like(x) >= p),
    "mask scaled": lambda x, p: x * ((torch.rand_like(x) > p).to(x.dtype) / (1 - p)),
    "mask scaled by a tensor": lambda x, p: x * ((torch.rand_like(x) > p) * torch.tensor(2.0)),
    "1 - mask": lambda x, p: x * (1 - (torch.rand_like(x) < p).float()),
    "not mask": lambda x, p: x * ~(torch.rand_like(x) < p),
    "logical_not": lambda x, p: x * torch.logical_not(torch.rand_like(x) < p),
    "mask == 0": lambda x, p: x * (torch.empty_like(x).bernoulli_(p) == 0),
    "mask != 0": lambda x, p: x * (torch.empty_like(x).bernoulli_(1 - p) != 0),
    "mask < 0.5": lambda x, p: x * (torch.empty_like(x).bernoulli_(p) < 0.5),
    "mask > 0": lambda x, p: x * (torch.empty_like(x).bernoulli_(1 - p) > 0),
    "bernoulli of full_like": lambda x, p: x * torch.bernoulli(torch.full_like(x, 1 - p)),
    "bernoulli of ones": lambda x, p: x * torch.bernoulli(torch.ones_like(x) * (1 - p)),
    "bernoulli with p": lambda x, p: x * torch.bernoulli(x, 1 - p),
    "bernoulli of expanded": lambda x, p: x * torch.bernoulli(torch.tensor(1 - p).expand(x.shape)),
    "bernoulli_": lambda x, p: x * x.new_empty(x.shape).bernoulli_(1 - p).div_(1 - p),
    "Bernoulli": lambda x, p: x * torch.distributions.Bernoulli(1 - p).sample(x.shape),
    "uniform_": lambda x, p: x * (torch.empty_like(x).uniform_() > p),
    "floor": lambda x, p: x.div(1 - p) * torch.floor(1 - p + torch.rand(x.shape)),
    "ceil": lambda x, p: x * torch.ceil(torch.rand_like(x) - p),
    "1 - rand": lambda x, p: x * (1 - torch.rand_like(x) < 1 - p),
    "in place": in_place,
    "masked_fill": lambda x, p: x.masked_fill(torch.rand_like(x) < p, 0),
    "masked_fill_": lambda x, p: x.clone().masked_fill_(torch.rand_like(x) < p, 0.0) / (1 - p),
    "masked_fill a tensor": lambda x, p: x.masked_fill(torch.rand_like(x) < p, torch.tensor(0.0)),
    "where kept": lambda x, p: torch.where(torch.rand_like(x) > p, x, 0),
    "where dropped": lambda x, p: torch.where(torch.rand_like(x) < p, 0.0, x),
    "where zeros_like": lambda x, p: torch.where(torch.rand_like(x) > p, x, torch.zeros_like(x)),
    "where dropped zeros": lambda x, p: torch.where(torch.rand_like(x) < p, torch.zeros(()), x),
    "x.where": lambda x, p: x.where(torch.rand_like(x) > p, 0),
    "written into": written_into,
    "own generator": own_generator,
    "own generator, bernoulli_": own_generator_bernoulli,
    "another shape": lambda x, p: x * (torch.rand(x.numel()) > p).view(x.shape),
    "a slice": lambda x, p: x * (torch.rand(len(x) + 1, *x.shape[1:]) > p)[1:, ...],
    "turned": lambda x, p: x * (torch.rand(x.shape[::-1]) > p).permute(*range(x.dim())[::-1]),
}


@pytest.mark.parametrize("sizes", [(4, 6, 5), (300, 220)], ids=["small", "large"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_elements(name: str, sizes: tuple[int, ...]):
    """Above 65,536 elements nothing was kept whole: the flags are drawn again."""
    x = data(*sizes)
    assert (x.numel() > EXACT) == (len(sizes) == 2)
    # Of a scale that is one number whatever p is, p is its own.
    p = 0.5 if name == "mask scaled by a tensor" else 0.3
    output, (op,) = trace(lambda _, x: ELEMENTS[name](x, p), x, sample=2)
    agrees(op, output, x, p, (), row=2)
    assert op.mask.unit == "elements"


@settings(max_examples=25, deadline=None)
@drawn(st.sampled_from(sorted(set(ELEMENTS) - {"mask scaled by a tensor"})),
       st.floats(0.01, 0.99), st.integers(1, 6), st.integers(1, 9))  # fmt: skip
def test_any_rate_and_size(name: str, p: float, rows: int, columns: int):
    x = data(rows, columns)
    output, (op,) = trace(lambda _, x: ELEMENTS[name](x, p), x)
    kept = output != 0
    assert (op.mask.kept, op.mask.p) == (int(kept.sum()), pytest.approx(p, abs=1e-6))
    assert torch.allclose(output, x * kept * op.mask.scale, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["rand_like above", "bernoulli_", "masked_fill", "where kept"])
def test_other_dtypes(name: str, dtype: torch.dtype):
    x = data(4, 6, 5, dtype=dtype)
    output, (op,) = trace(lambda _, x: ELEMENTS[name](x, 0.25), x)
    agrees(op, output, x, 0.25, ())


def stochastic_depth(x, p, mode):
    """Torchvision's way."""
    size = [len(x) if mode == "row" else 1] + [1] * (x.dim() - 1)
    noise = torch.empty(size, dtype=x.dtype).bernoulli_(1 - p)
    noise.div_(1 - p)
    return x * noise


def alike_in_all_rows(x, p):
    """Hugging Face's way for prompts: one row's flags for the whole batch."""
    mask = torch.bernoulli(x[0], p=1 - p)
    return torch.where(mask.unsqueeze(0).repeat(len(x), 1, 1) == 1, x, 0) * 1 / (1 - p)


class Dropped(torch.autograd.Function):
    """A dropout with a backward of its own."""

    @staticmethod
    def forward(ctx, x, p):
        mask = (1 - torch.empty_like(x).bernoulli_(1 - p)).to(torch.bool)
        return x.masked_fill(mask, 0) * (1 / (1 - p))

    @staticmethod
    def backward(ctx, gradient):
        raise NotImplementedError


def drop_path_scaled(x, p, scale=True):
    """The way of timm."""
    keep = x.new_empty((len(x),) + (1,) * (x.dim() - 1)).bernoulli_(1 - p)
    if scale:
        keep.div_(1 - p)
    return x * keep


def drop_path_floored(x, p):
    """The way of Hugging Face."""
    noise = 1 - p + torch.rand((len(x),) + (1,) * (x.dim() - 1), dtype=x.dtype)
    noise.floor_()
    return x.div(1 - p) * noise


ROWS = {
    "torchvision": lambda x, p: stochastic_depth(x, p, "row"),
    "timm": drop_path_scaled,
    "timm, not scaled": lambda x, p: drop_path_scaled(x, p, scale=False),
    "Hugging Face": drop_path_floored,
    "expanded": lambda x, p: x * (torch.rand(len(x), 1, 1) > p).expand(x.shape),
    "expanded as": lambda x, p: x * (torch.rand(len(x), 1, 1) > p).float().expand_as(x),
    "expanded, then turned": lambda x, p: x * ~(torch.rand(len(x), 1, 1) < p).expand_as(x),
    "turned, then indexed": lambda x, p: x * (~(torch.rand(len(x)) < p))[:, None, None],
}
SCALED = ("torchvision", "timm", "Hugging Face")
CHANNELS = {
    "rand": lambda x, p: x * (torch.rand(*x.shape[:2], 1) > p) / (1 - p),
    "bernoulli": lambda x, p: x * torch.bernoulli(x.new_full((*x.shape[:2], 1), 1 - p)),
    "unsqueezed": lambda x, p: x * (torch.rand(x.shape[:2]) > p).unsqueeze(-1),
    "repeated": lambda x, p: x * (torch.rand(*x.shape[:2], 1) > p).repeat(1, 1, x.shape[2]),
}


@pytest.mark.parametrize("sizes", [(40, 6, 5), (40, 60, 50)], ids=["small", "large"])
@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, sizes: tuple[int, ...]):
    x = data(*sizes)
    output, (op,) = trace(lambda _, x: ROWS[name](x, 0.2), x, sample=7)
    agrees(op, output, x, 0.2, (slice(None), 0, 0), row=7)
    assert op.mask.unit == "rows"
    assert op.mask.scale == pytest.approx(1.25 if name in SCALED else 1)


@pytest.mark.parametrize("name", CHANNELS)
def test_channels(name: str):
    x = data(4, 30, 5)
    output, (op,) = trace(lambda _, x: CHANNELS[name](x, 0.3), x, sample=2)
    agrees(op, output, x, 0.3, (slice(None), slice(None), 0), row=2)
    assert op.mask.unit == "channels"


@pytest.mark.parametrize("p", [0.4, 0.6])
def test_a_batch_as_a_whole(p: float):
    x = data(4, 6, 5)
    output, (op,) = trace(lambda _, x: stochastic_depth(x, p, "batch"), x)
    agrees(op, output, x, p, (slice(0, 1), 0, 0))
    assert (op.mask.unit, op.mask.total) == ("batches", 1)


def test_a_mask_that_all_steps_share():
    def forward(_, x):
        mask = torch.empty(1, *x.shape[1:]).bernoulli_(0.5) / 0.5
        return x * mask

    x = data(7, 6, 5)
    output, (op,) = trace(forward, x)
    agrees(op, output, x, 0.5, (slice(0, 1),))


def test_the_same_flags_for_every_row():
    x = data(4, 6, 5)
    output, (op,) = trace(lambda _, x: alike_in_all_rows(x, 0.4), x)
    agrees(op, output, x, 0.4, (slice(0, 1),))
    assert op.mask.scale == pytest.approx(1 / 0.6)


def test_inside_a_function_with_a_backward_of_its_own():
    x = data(4, 6)
    output, (op,) = trace(lambda _, x: Dropped.apply(x, 0.4), x)
    agrees(op, output, x, 0.4, ())
    assert op.mask.scale == pytest.approx(1 / 0.6)


def test_all_or_nothing():
    x = data(4, 6)
    for p, kept in ((0.0, 24), (1.0, 0)):
        output, (op,) = trace(lambda _, x, p=p: x * (torch.rand_like(x) >= p), x)
        assert op.mask.kept == kept == int((output != 0).sum())
        assert (op.mask.p, op.mask.scale) == (p, float(bool(kept)))


def test_where_by_chance_none_is_kept_the_scale_is_that_of_a_survivor():
    output, (op,) = trace(lambda _, x: x * (torch.rand(x.shape) < 0.001) / 0.001, data(3))
    assert not output.any()
    assert (op.mask.kept, op.mask.scale) == (0, pytest.approx(1000))


def test_drop_connect_on_a_weight():
    def forward(model, x):
        mask = torch.rand_like(model.weight) > 0.4
        return F.linear(x, model.weight * mask / 0.6)

    torch.manual_seed(0)
    model, x = with_numbers(forward), torch.eye(5)
    run = pt.trace(model, x)
    (op,) = [op for op in run.ops if op.mask]
    # The identity goes in: what comes out is the weight that was used.
    agrees(op, run.output.T.detach(), model.weight.detach(), 0.4, (), row=None)


def test_zeros_and_ones_drawn_as_integers():
    x = data(4, 6)
    for function in (lambda _, x: x * torch.randint(0, 2, x.shape),
                     lambda _, x: x * torch.randint(2, x.shape) * 2):  # fmt: skip
        output, (op,) = trace(function, x)
        agrees(op, output, x, 0.5, ())


@pytest.mark.parametrize("uses", [2, 3])
def test_one_mask_used_more_than_once(uses: int):
    def forward(_, x):
        mask = (torch.rand_like(x) > 0.5).float()
        return [(x + step) * mask for step in range(uses)]

    outputs, ops = trace(forward, data(4, 6))
    assert len(ops) == uses
    assert {op.mask.kept for op in ops} == {int((outputs[0] != 0).sum())}


def test_a_generator_of_the_programs_own_is_left_as_it_was():
    """Also where the call is the traced one, and its ops are asked for after other draws."""
    generator = torch.Generator().manual_seed(3)
    x = data(300, 220)
    with pt.options(receipt=False):
        run = pt.trace(
            with_numbers(lambda _, x: x * torch.rand(x.shape, generator=generator).gt(0.3)), x
        )
    torch.rand(5)
    torch.rand(5, generator=generator)
    before = generator.get_state(), torch.get_rng_state()
    (op,) = [op for op in run.ops if op.mask]
    agrees(op, run.output, x, 0.3, ())
    assert torch.equal(before[0], generator.get_state())
    assert torch.equal(before[1], torch.get_rng_state())


def test_the_programs_default_device_does_not_matter():
    x = data(300, 220)
    with pt.options(receipt=False):
        run = pt.trace(with_numbers(lambda _, x: x * (torch.rand(x.shape) > 0.3)), x)
    with torch.device("meta"):
        (op,) = [op for op in run.ops if op.mask]
    agrees(op, run.output, x, 0.3, ())


def test_no_row_is_told_where_values_are_not_wanted():
    with pt.options(values=False):
        run = pt.trace(with_numbers(lambda _, x: x * (torch.rand_like(x) > 0.5)), data(4, 6))
    (mask,) = [op.mask for op in run.ops if op.mask]
    assert mask.row == ()
    assert mask.total == 24


def test_a_mask_is_drawn_again_in_the_dtype_that_was_the_default_then():
    def forward(self, x):
        torch.set_default_dtype(torch.float64)
        drawn = torch.rand(x.numel())
        torch.set_default_dtype(torch.float32)
        return x * (drawn < 0.7).float()

    run = pt.trace(with_numbers(forward), torch.ones(EXACT + 5))
    (mask,) = [op.mask for op in run.ops if op.mask]
    assert mask.kept == int(run.output.count_nonzero())
