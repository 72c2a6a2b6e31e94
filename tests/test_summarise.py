"""What is said of a tensor equals what numpy says of the same elements."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from pipetrace.records import Tensor
from pipetrace.summarise import BLOCK, BLOCKS, EXACT, ROW, describe, pick, shape, values

INTEGERS = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64"
FLOATS = "float16 bfloat16 float8_e4m3fn float8_e5m2"
SEED = torch.Generator().manual_seed(0)
REALS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def assert_moments(told: Tensor, elements: np.ndarray) -> None:
    """Compare with numpy in float64; a spread is as exact as its largest element."""
    finite = elements[np.isfinite(elements)]
    assert told.count == elements.size
    assert told.zeros == pytest.approx((elements == 0).mean())
    assert told.nans == np.isnan(elements).sum()
    assert told.infinities == np.isinf(elements).sum()
    if not finite.size:
        assert (told.mean, told.std, told.minimum, told.maximum) == (None,) * 4
        return
    assert (told.minimum, told.maximum) == (finite.min(), finite.max())
    unit = np.abs(finite).max() or 1.0
    assert told.mean / unit == pytest.approx((finite / unit).mean(), abs=1e-12)
    assert told.std / unit == pytest.approx((finite / unit).std(), abs=1e-12)


@given(st.lists(REALS, min_size=1, max_size=50))
def test_statistics_of_float32_are_those_of_numpy(numbers: list[float]):
    told = describe(torch.tensor(numbers))
    assert told.exact
    assert_moments(told, np.array(numbers))


@given(st.lists(st.floats(), min_size=1, max_size=50))
def test_float64_neither_overflows_nor_vanishes(numbers: list[float]):
    with np.errstate(all="ignore"):
        assert_moments(describe(torch.tensor(numbers, dtype=torch.float64)), np.array(numbers))


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200, 1e308])
def test_a_spread_is_told_in_any_unit(unit: float):
    told = describe(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) * unit)
    assert told.mean == 0
    assert told.std == pytest.approx(math.sqrt(2 / 3) * unit)


def test_equal_elements_have_no_spread():
    told = describe(torch.full((1000,), 0.1))
    assert told.mean == told.minimum == told.maximum == pytest.approx(0.1)
    assert told.std == 0


@pytest.mark.parametrize("dtype", f"{INTEGERS} {FLOATS}".split())
def test_every_dtype_is_read(dtype: str):
    numbers = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, dtype))
    told = describe(numbers, row=1)
    assert (told.dtype, told.shape) == (dtype, (2, 3))
    assert (told.mean, told.minimum, told.maximum) == (pytest.approx(2 / 3), 0, 1)
    assert told.zeros == pytest.approx(1 / 3)
    assert told.row == (1.0, 0.0, 1.0)
    assert all(type(number) is float for number in told.row)


def test_large_integers_keep_their_last_digit():
    told = describe(torch.tensor([2**24 + 1, 2**40 + 1]))
    assert told.row == (2**24 + 1, 2**40 + 1)
    assert told.maximum == 2**40 + 1


def test_complex_numbers_are_told_by_magnitude():
    told = describe(torch.tensor([3 + 4j, 0j]).conj())
    assert told.dtype == "complex64"
    assert (told.row, told.mean, told.zeros) == ((5.0, 0.0), 2.5, 0.5)


@pytest.mark.parametrize("layout", ["sparse", "sparse_csr", "sparse_csc", "sparse_bsr", "mkldnn"])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_other_layouts_count_their_zeros(layout: str):
    dense = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    told = describe(
        dense.to_mkldnn() if layout == "mkldnn"
        else dense.to_sparse_bsr((1, 1)) if layout == "sparse_bsr"
        else getattr(dense, f"to_{layout}")(),
        row=0,
    )  # fmt: skip
    assert (told.shape, told.count, told.zeros, told.mean) == ((2, 2), 4, 0.75, 0.5)
    assert told.row == (0.0, 2.0)


def test_a_sparse_tensor_too_large_to_be_filled_keeps_its_shape_only():
    sparse = torch.sparse_coo_tensor([[0], [5]], [1.0], (10**6, 10**6), check_invariants=True)
    assert describe(sparse) == Tensor(shape=(10**6, 10**6), dtype="float32")


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation")
def test_quantised_numbers_are_those_they_stand_for():
    told = describe(torch.quantize_per_tensor(torch.tensor([0.0, 0.52]), 0.1, 0, torch.quint8))
    assert told.dtype == "quint8"
    assert told.row == pytest.approx((0.0, 0.5))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_are_told_over_all_elements(layout: torch.layout):
    parts = [torch.ones(2, 3), torch.zeros(4, 3)]
    told = describe(torch.nested.nested_tensor(parts, layout=layout), row=0)
    assert (told.shape, told.count, told.exact) == ((2,), 18, True)
    assert told.mean == pytest.approx(1 / 3)
    assert (told.row, told.row_count) == ((), 0)


def test_scalars_empty_and_meta_tensors():
    scalar = describe(torch.tensor(2.5), row=3)
    assert (scalar.shape, scalar.mean, scalar.std, scalar.row) == ((), 2.5, 0.0, (2.5,))
    assert describe(torch.empty(0, 3)) == Tensor(shape=(0, 3), dtype="float32")
    meta = describe(torch.empty(2, 3, device="meta"))
    assert meta == Tensor(shape=(2, 3), dtype="float32", device="meta")


def test_nan_and_infinity_are_counted_and_left_out():
    told = describe(torch.tensor([1.0, math.nan, math.inf, -math.inf, 3.0, 0.0]))
    assert (told.nans, told.infinities, told.count) == (1, 2, 6)
    assert (told.minimum, told.maximum) == (0, 3)
    assert told.mean == pytest.approx(4 / 3)
    assert told.zeros == pytest.approx(1 / 6)
    assert math.isnan(told.row[1])
    assert told.row[2:4] == (math.inf, -math.inf)


@given(st.integers(0, 4), st.permutations([0, 1, 2]), st.integers(1, 2))
def test_the_row_is_the_samples_whatever_the_strides(row: int, order: list[int], step: int):
    batch = torch.arange(5 * 6 * 7, dtype=torch.float32).view(5, 6, 7).permute(order)[:, ::step]
    told = describe(batch, row=row)
    flat = (batch[row] if row < batch.shape[0] else batch).reshape(-1).tolist()
    assert told.row == tuple(flat[:ROW])
    assert told.row_count == len(flat)


def test_a_large_tensor_is_sampled_over_rows_and_columns():
    # The zero share differs by column: a step that divides the width would see some columns only.
    numbers = torch.rand(4096, 512, generator=SEED)
    numbers[:, :243] = 0
    told = describe(numbers, row=7)
    assert not told.exact
    assert told.count == BLOCKS * BLOCK
    assert told.zeros == pytest.approx(243 / 512, abs=0.03)
    assert told.mean == pytest.approx(float(numbers.mean()), abs=0.03)
    assert told.row == tuple(numbers[7, :ROW].tolist())
    assert told.row_count == 512


@pytest.mark.parametrize("sizes", [(EXACT,), (EXACT + 1,), (512, 513), (3, EXACT // 2, 1)])
def test_exact_means_all_elements(sizes: tuple[int, ...]):
    told = describe(torch.ones(sizes))
    total = math.prod(sizes)
    assert told.exact == (told.count == total) == (total <= EXACT)


def test_without_values_no_element_is_told():
    told = describe(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), row=0, values=False)
    assert (told.row, told.row_count, told.mean) == ((), 0, 2.5)
    alone = describe(torch.tensor([[41.0]]), row=0, values=False)
    assert "41" not in str(msgspec.to_builtins(alone))
    assert alone.count == 1


def test_the_tensor_is_left_alone():
    leaf = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    middle = leaf * 2
    for tensor in (leaf, middle, middle.detach()):
        before, version = tensor.detach().clone(), tensor._version
        describe(tensor, row=1)
        assert torch.equal(tensor, before)
        assert tensor._version == version
    with torch.inference_mode():
        assert describe(torch.ones(2)).mean == 1
    middle.sum().backward()
    assert torch.equal(leaf.grad, torch.full_like(leaf, 2))


class Loud(torch.Tensor):
    heard = 0

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Loud.heard += 1
        return super().__torch_function__(func, types, args, kwargs or {})


class Listening(TorchFunctionMode):
    heard = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.heard += 1
        return func(*args, **(kwargs or {}))


def test_neither_a_subclass_nor_a_mode_hears_of_it():
    loud = torch.arange(6.0).view(2, 3).as_subclass(Loud)
    Loud.heard = 0
    plain = describe(torch.arange(6.0).view(2, 3), row=1)
    told, known = describe(loud, row=1), Loud.heard
    assert told == plain
    with Listening() as mode:
        assert describe(torch.arange(6.0).view(2, 3), row=1) == plain
        arranged = mode.heard
    assert arranged == 2, "only arange and view were said aloud"
    assert known == 0


class Refusing(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise ZeroDivisionError(f"{func} is refused")


def test_a_subclass_that_refuses_is_told_by_its_shape():
    refusing = torch.Tensor._make_subclass(Refusing, torch.ones(2, 3))
    assert describe(refusing) == Tensor(shape=(2, 3), dtype="float32")


def test_values_and_pick():
    batch = torch.arange(100.0).view(4, 25)
    assert values(batch) == tuple(map(float, range(ROW)))
    assert values(batch, 3) == (0.0, 1.0, 2.0)
    assert values(torch.tensor([3 + 4j])) == (5.0,)
    assert values(torch.empty(2, device="meta")) == ()
    assert torch.equal(pick(batch, 2), batch[2])
    assert pick(batch, None) is batch
    assert pick(batch, 4) is batch
    scalar = torch.tensor(1.0)
    assert pick(scalar, 0) is scalar
    assert shape(batch) == (4, 25)
    assert shape(scalar) == ()
