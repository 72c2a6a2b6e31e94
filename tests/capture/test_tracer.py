"""Single facts of a traced forward: what fed an op, what it took, what it kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small import Small
from torch import Tensor, nn

import pipetrace as pt
from pipetrace.records import Op

TABLE = torch.arange(3.0)
X = torch.arange(12.0).reshape(4, 3)


def ops(function: Callable[..., Any], *args: Any, **parts: Any) -> list[Op]:
    return pt.trace(Small(function, **parts), *args).ops


def fed(op: Op) -> list[int | str]:
    """Return what fed an op: the op's number, or the name."""
    return [link.name if link.index is None else link.index for link in op.inputs]


def test_a_view_of_what_was_written_to_through_another_view_is_fed_by_the_write():
    def forward(self: Small, x: Tensor) -> Tensor:
        whole = x + 1
        row, turned = whole[0], whole.T
        row.mul_(2)
        return turned * 3

    found = ops(forward, X)
    assert [op.function for op in found] == ["add", "getitem", "T", "mul_", "mul"]
    assert fed(found[3]) == [1]
    assert fed(found[4]) == [3]


def test_a_view_beside_what_was_written_to_is_fed_by_what_made_it():
    def forward(self: Small, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        whole = x.repeat(1, 2)
        left, right = whole.chunk(2, dim=1)
        left.zero_()
        return left * 1, right * 1, whole * 1

    assert [fed(op) for op in ops(forward, X)] == [["input"], [0], [1], [2], [1], [2]]


def test_a_view_that_was_written_to_before_it_was_made_is_fed_by_itself():
    def forward(self: Small, x: Tensor) -> Tensor:
        whole = x + 1
        whole.mul_(2)
        return whole.view(-1) * 3

    assert [fed(op) for op in ops(forward, X)] == [["input"], [0], [1], [2]]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_writes_are_followed_without_a_graph_too(mode: Callable[[], Any]):
    def forward(self: Small, x: Tensor) -> Tensor:
        whole = x + 1
        flat, rows = whole.view(-1), whole[1:]
        F.relu(rows, inplace=True)
        return flat * 2

    with mode():
        found = ops(forward, X)
    assert [fed(op) for op in found] == [["input"], [0], [0], [2], [3]]
    assert [op.view for op in found] == [False, True, True, False, False]
    assert [op.memory for op in found] == [48, 0, 0, 0, 48]


def test_an_op_that_writes_into_its_out_is_followed():
    def forward(self: Small, x: Tensor) -> Tensor:
        place = torch.empty(4, 3)
        same = place.view(-1)
        torch.add(x, x, out=place)
        return same * 1

    found = ops(forward, X)
    assert fed(found[3]) == [2]
    assert found[2].memory == 0


def test_setting_items_is_one_op_on_what_was_there():
    def forward(self: Small, x: Tensor) -> Tensor:
        made = torch.zeros(4, 3)
        made[0] = x[0]
        return made.sum()

    found = ops(forward, X)
    assert [op.function for op in found] == ["zeros", "getitem", "setitem", "sum"]
    assert [fed(op) for op in found] == [[], ["input"], [0, 1], [2]]


def test_what_torch_reshapes_inside_an_op_is_no_view_of_its_input():
    def forward(self: Small, x: Tensor) -> Any:
        three = x.view(2, 2, 3)
        return (
            self.linear(three), torch.einsum("bij,kj->bki", three, self.linear.weight),
            F.adaptive_avg_pool1d(three, 1), self.lstm(three),
        )  # fmt: skip

    parts = {"linear": nn.Linear(3, 5), "lstm": nn.LSTM(3, 4, batch_first=True)}
    found = {op.function: op for op in ops(forward, X, **parts)}
    for name, size in (("linear", 80), ("einsum", 80), ("adaptive_avg_pool1d", 16)):
        assert (found[name].view, found[name].memory) == (False, size)
    assert (found["lstm"].view, found["lstm"].memory) == (False, 4 * (16 + 8 + 8))
    assert found["view"].view


def test_a_detached_tensor_has_the_origin_of_its_values():
    def forward(self: Small, x: Tensor) -> Tensor:
        return (x * self.weight).detach() + self.weight.data

    found = ops(forward, X, weight=nn.Parameter(torch.ones(3)))
    assert [fed(op) for op in found] == [["input", "weight"], [0, "weight"]]


def test_a_write_to_the_data_of_a_tensor_is_a_write_to_the_tensor():
    def forward(self: Small, x: Tensor) -> Tensor:
        made = x * 1
        made.data[0].mul_(2)
        self.weight.data.clamp_(0, 1)
        return made * self.weight

    found = ops(forward, X, weight=nn.Parameter(torch.ones(3)))
    assert [op.function for op in found] == ["mul", "getitem", "mul_", "clamp_", "mul"]
    assert fed(found[4]) == [2, 3]


def test_a_view_as_another_dtype_is_a_view():
    def forward(self: Small, x: Tensor) -> Tensor:
        made = x * 1
        made.view(torch.int32)[0].zero_()
        return made + 1

    found = ops(forward, X)
    assert [op.view for op in found] == [False, True, True, False, False]
    assert fed(found[4]) == [3]


def test_a_gradient_is_not_taken_for_its_parameter():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    found = ops(lambda self, x: x * self.weight.grad, X, weight=weight)
    assert [link.source for link in found[0].inputs] == ["input", "unseen"]


def test_constants_are_named_where_they_are_kept():
    found = ops(lambda self, x: x * TABLE + self.tables["a"], X, tables={"a": torch.ones(3)})
    assert [link.source for op in found for link in op.inputs] == [
        "input", "constant", "op", "constant",
    ]  # fmt: skip
    assert found[0].inputs[1].name == "TABLE"
    assert found[1].inputs[1].name == "tables['a']"


def test_a_shared_module_counts_its_calls_and_keeps_its_first_name():
    layer = nn.Linear(3, 3)
    found = pt.trace(nn.Sequential(layer, nn.ReLU(), layer), X).ops
    assert [(op.module, op.call) for op in found] == [("0", 0), ("1", 0), ("0", 1)]
    assert fed(found[2]) == [1, "0.weight", "0.bias"]


def test_a_module_in_a_plain_list_is_named_by_its_place():
    found = ops(lambda self, x: self.layers[0](x), X, layers=[nn.Linear(3, 2)])
    assert found[0].module == "layers[0]"


def test_a_module_that_is_kept_nowhere_says_that_it_is_not_registered():
    found = ops(lambda self, x: nn.Dropout()(x), X)
    assert found[0].module == "(not registered) Dropout"


def test_keyword_tensors_come_after_those_by_position():
    found = ops(lambda self, x: F.linear(bias=self.b, input=x, weight=self.w), X,
                w=nn.Parameter(torch.ones(2, 3)), b=nn.Parameter(torch.ones(2)))  # fmt: skip
    assert fed(found[0]) == ["b", "input", "w"]
    assert found[0].input_shapes == ((2,), (4, 3), (2, 3))


def test_a_view_of_a_parameter_is_not_kept_by_the_graph_but_by_the_model():
    def forward(self: Small, x: Tensor) -> Tensor:
        return (x * self.gain) @ self.weight.T

    weights = {"gain": nn.Parameter(torch.ones(3)), "weight": nn.Parameter(torch.ones(2, 3))}
    found = ops(forward, X, **weights)
    # The input, for the gradient of the gain; then the product, which is 4 × 3 float32 as well.
    assert [op.saved for op in found] == [48, 0, 48]


def test_what_is_expanded_is_kept_once():
    def forward(self: Small, x: Tensor) -> Tensor:
        return x[:1].expand(100, 3) * self.gain

    found = ops(forward, X, gain=nn.Parameter(torch.ones(3)))
    # The whole input lives as long as a view of it.
    assert sum(op.saved or 0 for op in found) == X.untyped_storage().nbytes()


def test_a_sparse_tensor_takes_what_its_parts_take():
    found = ops(lambda self, x: x * 2, torch.eye(4).to_sparse())
    assert found[0].memory == 4 * 2 * 8 + 4 * 4


def test_a_tensor_without_elements_is_no_view_of_another():
    with torch.inference_mode():
        found = ops(lambda self, x: torch.cat([x, x]), torch.zeros(0, 3))
    assert found[0].view is False


def test_a_storage_at_the_place_of_another_has_none_of_its_writes():
    reused = []

    def forward(self: Small, x: Tensor) -> Tensor:
        for _ in range(8):
            before = torch.zeros(70_000)
            for _ in range(5):
                before.add_(1)
            place = before.data_ptr()
            del before
            whole = torch.ones(70_000)
            reused.append(whole.data_ptr() == place)
            row = whole[:4]
            whole[4:].mul_(2)
            x = x + row * 3
        return x

    found = ops(forward, torch.zeros(4))
    if not any(reused):
        pytest.skip("this allocator never gives a place twice")
    fed_by = {found[op.inputs[0].index or 0].function for op in found if op.function == "mul"}
    assert fed_by == {"getitem"}


def test_a_function_that_is_not_pytorchs_may_call_anything_its_generator():
    def noisy(x: Tensor, generator: Any = None, device: Any = None) -> Tensor:
        if torch.overrides.has_torch_function((x,)):
            return torch.overrides.handle_torch_function(
                noisy, (x,), x, generator=generator, device=device
            )
        return x + 1

    found = ops(lambda self, x: noisy(x, generator=[1, 2], device="somewhere"), X)
    assert [op.function for op in found] == ["noisy"]


def test_a_long_list_of_numbers_is_not_kept():
    numbers = list(range(2000))
    (made, _) = ops(lambda self, x: x + torch.tensor(numbers)[:3], X)[:2]
    assert made.function == "tensor"
    assert [told.value for told in made.arguments] == ["list"]


def test_an_input_with_a_graph_may_be_written_into():
    body = nn.Linear(3, 3)
    run = pt.trace(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)), body(X))
    capture = run.facts[-1]
    assert [op.function for op in run.ops] == ["relu", "linear"]
    assert capture.complete
    assert capture.receipt.equal
