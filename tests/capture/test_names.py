"""Functions and arguments are named as PyTorch's documentation names them."""

from __future__ import annotations

import inspect
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipetrace.capture.names import arguments, plain_name, plan, worded

X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Tensor.__add__, "add"),
        (Tensor.__radd__, "add"),
        (Tensor.__rsub__, "rsub"),
        (Tensor.__rtruediv__, "rdiv"),
        (Tensor.__truediv__, "div"),
        (Tensor.__rpow__, "rpow"),
        (Tensor.__matmul__, "matmul"),
        (Tensor.__iadd__, "add_"),
        (Tensor.__setitem__, "setitem"),
        (Tensor.T.__get__, "T"),
        (Tensor.relu_, "relu_"),
        (F.dropout2d, "dropout2d"),
        (torch.ops.aten.add, "add"),
        (torch.ops.aten.add.Tensor, "add"),
    ],
)
def test_a_function_has_one_plain_name(function, name: str):
    assert plain_name(function) == name


@pytest.mark.parametrize(
    ("function", "args", "named"),
    [
        (F.dropout, (X, 0.3, True), {"input": X, "p": 0.3, "training": True}),
        (torch.dropout, (X, 0.3, True), {"input": X, "p": 0.3, "train": True}),
        (torch.dropout_, (X, 0.3, True), {"input": X, "p": 0.3, "train": True}),
        (torch.feature_alpha_dropout_, (X, 0.3, True), {"input": X, "p": 0.3, "train": True}),
        (torch.flatten, (X, 0, 1), {"input": X, "start_dim": 0, "end_dim": 1}),
        (Tensor.transpose, (X, 0, 1), {"input": X, "dim0": 0, "dim1": 1}),
        (Tensor.mul_, (X, 2), {"input": X, "other": 2}),
        (Tensor.__mul__, (X, 2), {"input": X, "other": 2}),
        (Tensor.__rsub__, (X, 2), {"input": X, "other": 2}),
        (Tensor.__pow__, (X, 2), {"input": X, "exponent": 2}),
        (Tensor.__getitem__, (X, 0), {"input": X, "index": 0}),
        (Tensor.__setitem__, (X, 0, 5), {"input": X, "index": 0, "value": 5}),
        (Tensor.view, (X, 3, 2), {"input": X, "shape": (3, 2)}),
        (Tensor.view, (X, (3, 2)), {"input": X, "shape": (3, 2)}),
        (Tensor.permute, (X, 1, 0), {"input": X, "dims": (1, 0)}),
        (torch.reshape, (X, (6,)), {"input": X, "shape": (6,)}),
        (torch.zeros, (2, 3), {"size": (2, 3)}),
        (torch.sum, (X, 1, True), {"input": X, "dim": 1, "keepdim": True}),
        (Tensor.sum, (X, 1), {"input": X, "dim": 1}),
        (torch.max, (X, 1), {"input": X, "dim": 1}),
        (Tensor.split, (X, 2), {"input": X, "split_size": 2}),
        (torch.tensor, ([1.0],), {"data": [1.0]}),
        (F.max_pool2d, (X, 2, 1), {"input": X, "kernel_size": 2, "stride": 1}),
        (F.avg_pool2d, (X, 2, 1), {"input": X, "kernel_size": 2, "stride": 1}),
        (F.scaled_dot_product_attention, (X, X, X, None, 0.1),
         {"query": X, "key": X, "value": X, "attn_mask": None, "dropout_p": 0.1}),
        (torch.einsum, ("ij->ji", X), {"equation": "ij->ji", "operands": (X,)}),
        (torch.bmm, (X, X), {"input": X, "mat2": X}),
        (torch.ops.aten.add.Tensor, (X, X), {"input": X, "other": X}),
    ],
)  # fmt: skip
def test_arguments_get_their_documented_names(function, args, named):
    found = arguments(plan(function), enumerate(args))
    assert list(found) == list(named)
    assert all(found[key] is value or found[key] == value for key, value in named.items())


def test_keyword_arguments_keep_their_names_and_never_hide_the_input():
    found = arguments(plan(Tensor.reshape), [(0, X), ("shape", (6,))])
    assert found == {"input": X, "shape": (6,)}


def test_an_argument_that_nobody_documents_is_counted():
    def anonymous(*args):
        return args

    assert arguments(plan(anonymous), enumerate((X, 1, 2))) == {
        "input": X, "argument 2": 1, "argument 3": 2,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_a_first_argument_is_the_input_unless_its_documentation_says_otherwise():
    checked = 0
    for function, twin in torch.overrides.get_testing_overrides().items():
        name = plain_name(function)
        if [*inspect.signature(twin).parameters][:1] in (["input"], ["self"]):
            checked += 1
            (first,) = arguments(plan(function), [(0, X)])
            written = inspect.isfunction(function) and first in function.__code__.co_varnames
            assert first == "input" or written or f"{name}({first}," in function.__doc__ \
                or f"{name}({first})" in function.__doc__  # fmt: skip
    assert checked > 900


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (X, "tensor of 2 × 3"),
        (torch.tensor(1.0), "scalar tensor"),
        (slice(1, None), "1:"),
        (slice(None, 4, 2), ":4:2"),
        ((slice(None), None, ..., 0), "(:, None, ..., 0)"),
        ([1, (2, "a")], "(1, (2, a))"),
        (tuple(range(9)), "tuple"),
        (0.3, "0.3"),
        (True, "True"),
        (None, "None"),
        (torch.float16, "torch.float16"),
        (torch.device("cpu"), "cpu"),
        (torch.channels_last, "torch.channels_last"),
        (torch.sparse_coo, "torch.sparse_coo"),
        (torch.Size([2, 3]), "(2, 3)"),
        (np.float64(0.5), "0.5"),
        (np.int64(7), "7"),
        (Fraction(1, 3), "1/3"),
        ({"a": 1}, "dict"),
        ("x" * 100, "x" * 80),
    ],
)
def test_a_value_is_told_in_a_few_words(value, words: str):
    assert worded(value) == words


def test_without_values_a_list_of_numbers_is_counted_and_a_shape_told():
    assert worded([0.25, 1.5, 2.5], values=False) == "3 numbers"
    assert worded(([0.25], 1), values=False) == "(1 number, 1)"
    assert worded((3, 2), values=False) == "(3, 2)"
    assert worded(0.5, values=False) == "0.5"
