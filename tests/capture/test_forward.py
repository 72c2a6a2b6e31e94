"""Forwards of every kind are traced: what goes in and out, what runs inside, what goes wrong."""

from __future__ import annotations

import copy
import dataclasses
import threading
import warnings
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from small import Small
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import pipetrace as pt
from pipetrace.capture.comparing import difference, equal
from pipetrace.capture.guard import Streams
from pipetrace.records import Capture, Notice
from pipetrace.runs import Run

X = torch.arange(12.0).reshape(4, 3) / 7
SEEN: list[int] = []


@dataclasses.dataclass
class Batch:
    pixels: Tensor
    masks: list[Tensor]


class Pair(NamedTuple):
    one: Tensor
    other: Tensor


@dataclasses.dataclass
class Output(OrderedDict[str, Any]):
    """An output as transformers makes them: a mapping, with attributes of the same names."""

    logits: Tensor | None = None
    hidden: tuple[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                super().__setitem__(field.name, getattr(self, field.name))


def fed(run: Run) -> list[list[int | str]]:
    """Return what fed each op: an op's number, or a name."""
    return [
        [link.name or link.source if link.index is None else link.index for link in op.inputs]
        for op in run.ops
    ]


def names(run: Run) -> list[str]:
    return [op.function for op in run.ops]


def capture(run: Run) -> Capture:
    found = run.recording.last(Capture)
    assert found is not None
    return found


def traced(model: nn.Module, *args: Any, **kwargs: Any) -> Run:
    """Trace a model, and assert that the trace did what a plain call of its twin does."""
    twin = copy.deepcopy(model)
    torch.manual_seed(3)
    output = twin(*args, **kwargs)
    streams = Streams.take()
    torch.manual_seed(3)
    run = pt.trace(model, *args, **kwargs)
    assert streams.same(Streams.take())
    assert type(run.output) is type(output)
    assert equal(output, run.output)
    assert equal(list(twin.buffers()), list(model.buffers()))
    assert equal([p.grad for p in twin.parameters()], [p.grad for p in model.parameters()])
    receipt = capture(run).receipt
    assert receipt is not None
    assert receipt.equal is True
    assert all(check.ok for check in receipt.checks), receipt
    assert str(run)
    return run


def rows() -> Tensor:
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "args", "kwargs", "inputs"),
    [
        (lambda self, x: x["a"] + x["b"][0], ({"a": X, "b": (X + 1,)},), {},
         ["input['a']", "input['b'][0]"]),
        (lambda self, x: x.pixels * x.masks[0], (Batch(X, [X + 1]),), {},
         ["input.pixels", "input.masks[0]"]),
        (lambda self, x: x.logits * x["hidden"][0], (Output(X, (X + 1,)),), {},
         ["input['logits']", "input['hidden'][0]"]),
        (lambda self, x: x.one * x.other, (Pair(X, X + 1),), {}, ["input.one", "input.other"]),
        (lambda self, x, *, scale: x * scale, (X,), {"scale": X + 1}, ["input", "scale"]),
        (lambda self, *, deep: deep[0][0]["a"] * 2, (), {"deep": [({"a": X},)]},
         ["deep[0][0]['a']"]),
        (lambda self, x: x.softmax(-1), (X.bfloat16(),), {}, ["input"]),
        (lambda self, x: x * x, (torch.complex(X, -X),), {}, ["input", "input"]),
        (lambda self, x: x * 2, (torch.eye(3).to_sparse(),), {}, ["input"]),
        (lambda self, x: x @ x.to_dense(), lambda: (torch.eye(3).to_sparse_csr(),), {}, ["input"]),
        (lambda self, x: x.dequantize(),
         lambda: (torch.quantize_per_tensor(X, 0.1, 0, torch.qint8),), {}, ["input"]),
        (lambda self, x: x.relu(), (torch.zeros(0, 3),), {}, ["input"]),
        (lambda self, x: x * 2, (torch.tensor(3.0),), {}, ["input"]),
        (lambda self, x: x * 2, lambda: (rows(),), {}, ["input"]),
        (lambda self, x: x @ x.T, (torch.empty(4, 3, device="meta"),), {}, ["input"]),
        (lambda self, count: torch.ones(count) * 2, (3,), {}, []),
    ],
    ids=["dict", "dataclass", "model output", "namedtuple", "keyword", "deep", "bf16", "complex",
         "sparse", "csr", "quantised", "empty", "scalar", "nested", "meta", "no tensor"],
)  # fmt: skip
def test_inputs_of_any_kind_are_named_and_traced(
    function: Any, args: Any, kwargs: Any, inputs: list[str]
):
    # Making some of them warns.
    run = traced(Small(function), *(args() if callable(args) else args), **kwargs)
    assert list(dict.fromkeys(inputs)) == [name for name, _ in capture(run).inputs]
    assert [link.name for link in run.ops[0].inputs] == inputs


def test_outputs_are_found_in_what_a_model_returns():
    made = traced(Small(lambda self, x: Output(x * 2, (x + 1, x - 1))), X)
    assert isinstance(made.output, Output)
    named = [name for name, _ in capture(made).outputs]
    assert named == ["['logits']", "['hidden'][0]", "['hidden'][1]"]


def test_complex_elements_count_as_their_magnitudes():
    found = traced(Small(lambda self, x: x * 2), torch.complex(X, X)).ops[0].outputs[0]
    assert found.dtype == "complex64"
    assert found.maximum == pytest.approx(float((X * 2).max()) * 2**0.5)


def test_a_model_in_inference_mode():
    with torch.inference_mode():
        run = traced(Small(lambda self, x: self.linear(x).relu_(), linear=nn.Linear(3, 2)), X)
        assert run.output.is_inference()
    assert [op.saved for op in run.ops] == [None, None]


def test_a_transform_of_functions_inside():
    linear = nn.Linear(3, 3)
    mapped = traced(
        Small(lambda self, x: torch.vmap(lambda r: self.part(r) * 2)(x), part=linear), X
    )
    assert names(mapped) == ["linear", "mul"]
    assert mapped.ops[0].inputs[0].source == "input"
    assert not any(op.opaque for op in mapped.ops)
    derived = traced(
        Small(lambda self, x: torch.func.grad(lambda r: self.part(r).sin().sum())(x), part=linear),
        X,
    )
    assert {"linear", "sin", "sum", "grad"} <= set(names(derived))


def test_a_gradient_taken_inside_is_an_op():
    def forward(self: Small, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        energy = self.part(x).tanh().sum()
        (force,) = torch.autograd.grad(energy, x, create_graph=True)
        return force * 2

    run = traced(Small(forward, part=nn.Linear(3, 3)), X)
    assert names(run) == ["linear", "tanh", "sum", "grad", "mul"]
    assert fed(run)[3:] == [[2, "input"], [3]]
    # What is kept cannot be counted where a backward takes it.
    assert {op.saved for op in run.ops} == {None}


@pytest.mark.parametrize("before", [False, True], ids=["no gradients", "gradients there"])
@pytest.mark.parametrize("receipt", [True, False])
def test_a_backward_inside_adds_to_the_gradients_once(before: bool, receipt: bool):
    def forward(self: Small, x: Tensor) -> Tensor:
        loss = (self.part(x) + self.shift).tanh().sum()
        loss.backward()
        return loss.detach()

    model = Small(forward, part=nn.Linear(3, 3), shift=nn.Parameter(torch.ones(3)))
    if before:
        model(X)
    twin, gradients = copy.deepcopy(model), [p.grad for p in model.parameters()]
    for theirs, ours in zip(twin.parameters(), model.parameters(), strict=True):
        theirs.grad = None if ours.grad is None else ours.grad.clone()
    twin(X)
    with pt.options(receipt=receipt):
        run = pt.trace(model, X)
    assert equal([p.grad for p in twin.parameters()], [p.grad for p in model.parameters()])
    if before:
        assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    if receipt:
        assert capture(run).receipt.equal is True
    assert names(run) == ["linear", "add", "tanh", "sum"]


def test_autocast_is_on_in_the_trace():
    with torch.autocast("cpu", torch.bfloat16):
        run = traced(nn.Linear(3, 2), X)
    assert run.ops[0].outputs[0].dtype == "bfloat16"


def test_a_checkpoint_is_not_heard_twice():
    model = Small(lambda self, x: checkpoint(self.part, x, use_reentrant=False),
                  part=nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Tanh()))  # fmt: skip
    twin = copy.deepcopy(model)
    torch.manual_seed(3)
    twin(X).sum().backward()
    torch.manual_seed(3)
    run = pt.trace(model, X)
    run.output.sum().backward()
    assert equal([p.grad for p in twin.parameters()], [p.grad for p in model.parameters()])
    assert names(run) == ["linear", "dropout", "tanh"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiled", [
    torch.jit.script, lambda module: torch.jit.trace(module, X),
], ids=["script", "trace"])  # fmt: skip
def test_a_module_of_torchscript_is_named_opaque(compiled: Any):
    part = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid())
    model = nn.Sequential(nn.Linear(3, 3), compiled(part), nn.Linear(3, 2))
    run = pt.trace(model, X)
    assert torch.equal(run.output, model(X))
    assert capture(run).receipt.equal is True
    assert [(op.function, op.module, op.opaque) for op in run.ops] == [
        ("linear", "0", ""), ("forward", "1", "TorchScript"), ("linear", "2", ""),
    ]  # fmt: skip
    assert [links[0] for links in fed(run)] == ["input", 0, 1]


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_torchscript_says_why_it_has_no_ops():
    model = torch.jit.script(nn.Linear(3, 2))
    run = pt.trace(model, X)
    assert len(run.ops) == 0
    assert "TorchScript" in run.recording.all(Notice)[0].text
    assert torch.equal(run.output, model(X))


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_module_is_traced_eagerly_and_compiled_once():
    pytest.importorskip("torch._dynamo")
    graphs: list[Any] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    part = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model = nn.Sequential(torch.compile(part, backend=count), nn.Linear(3, 2))
    expected = model(X)
    run = pt.trace(model, X)
    assert torch.equal(run.output, expected)
    assert names(run) == ["linear", "relu", "linear"]
    assert torch.equal(model(X), expected)
    assert len(graphs) == 1
    whole = pt.trace(torch.compile(part, backend=count), X)
    assert names(whole) == ["linear", "relu"]


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clone() * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2 + 0 * ctx.saved_tensors[0]


def test_a_function_with_a_backward_of_its_own():
    run = traced(Small(lambda self, x: Doubled.apply(self.part(x)) + 1, part=nn.Linear(3, 3)), X)
    assert names(run) == ["linear", "clone", "mul", "add"]
    assert fed(run)[1:] == [[0], [1], [2]]
    # The linear layer keeps its input, the function what it was given: 4 × 3 float32 each.
    assert sum(op.saved or 0 for op in run.ops) == 96


def test_an_op_of_a_library():
    @torch.library.custom_op("pipetrace_tests::triple", mutates_args=())
    def triple(x: Tensor) -> Tensor:
        return x * 3

    run = traced(Small(lambda self, x: triple(x + 1) * 2), X)
    assert names(run) == ["add", "triple", "mul"]
    assert fed(run) == [["input"], [0], [1]]


def test_a_thread_inside_is_not_followed_and_what_it_made_is_said_to_be_unseen():
    def forward(self: Small, x: Tensor) -> Tensor:
        made: list[Tensor] = []
        worker = threading.Thread(target=lambda: made.append(self.part(x)))
        worker.start()
        worker.join()
        return made[0] * 2

    run = traced(Small(forward, part=nn.Linear(3, 3)), X)
    assert (names(run), fed(run)) == (["mul"], [["unseen"]])


def test_what_went_through_numpy_is_said_to_be_unseen():
    run = traced(Small(lambda self, x: torch.from_numpy(np.cos(x.numpy())) + 1), X)
    assert (names(run), fed(run)) == (["add"], [["unseen"]])
    inner = Small(lambda self, x: torch.from_numpy(np.cos(x.numpy())))
    run = traced(nn.Sequential(inner, nn.ReLU()), X)
    assert [(op.function, bool(op.opaque)) for op in run.ops] == [
        ("forward", True),
        ("relu", False),
    ]
    assert fed(run) == [["input"], [0]]


def test_a_model_behind_a_wrapper_is_traced_without_it():
    run = traced(nn.DataParallel(nn.Sequential(nn.Linear(3, 2), nn.ReLU())), X)
    assert [op.module for op in run.ops] == ["0", "1"]


@pytest.mark.parametrize("receipt", [True, False])
def test_a_forward_that_raises_gives_the_ops_up_to_there(receipt: bool):
    def forward(self: Small, x: Tensor) -> Tensor:
        made = self.part(x).relu()
        return made @ made

    model = Small(forward, part=nn.Linear(3, 3))
    with (
        pt.options(receipt=receipt),
        pytest.raises(RuntimeError, match="cannot be multiplied") as e,
    ):
        pt.trace(model, X)
    run = e.value.pipetrace
    assert names(run) == ["linear", "relu"]
    assert capture(run).complete is False
    (note,) = e.value.__notes__
    assert "matmul was given 4×3, 4×3" in note
    assert f"{__file__}, line {forward.__code__.co_firstlineno + 2}" in note
    assert run.status == "raised"
    assert "matmul" in str(run)


def test_an_exception_of_the_models_own_carries_the_run():
    def forward(self: Small, x: Tensor) -> Tensor:
        if float((x * 2).sum()) > 0:
            raise ValueError("too warm")
        return x

    with pytest.raises(ValueError, match="too warm") as raised:
        pt.trace(Small(forward), X)
    assert names(raised.value.pipetrace) == ["mul", "sum"]
    assert not hasattr(raised.value, "__notes__")


def test_what_a_model_says_is_heard_once(capsys: pytest.CaptureFixture[str]):
    def forward(self: Small, x: Tensor) -> Tensor:
        print("computing")
        warnings.warn("careful", stacklevel=1)
        return x * 2

    with pytest.warns(UserWarning, match="careful") as heard:
        run = pt.trace(Small(forward), X)
    assert names(run) == ["mul"]
    assert len(heard) == 1
    assert capsys.readouterr().out == "computing\n"


def test_what_a_model_writes_to_a_global_is_written_once():
    def forward(self: Small, x: Tensor) -> Tensor:
        SEEN.append(len(SEEN))
        return x * len(SEEN)

    SEEN.clear()
    run = pt.trace(Small(forward), X)
    assert SEEN == [0]
    assert capture(run).receipt.equal is True
    assert torch.equal(run.output, X)


def test_without_a_receipt_the_one_call_is_the_traced_one():
    calls = []
    model = Small(lambda self, x: calls.append(1) or x * 2)
    with pt.options(receipt=False):
        run = pt.trace(model, X)
    assert (names(run), capture(run).receipt) == (["mul"], None)
    assert run.ops[0].saved is None
    assert len(calls) == 1


def test_the_difference_of_outputs_is_a_number_only_where_there_is_one():
    bad, far = torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("inf")])
    assert difference(torch.ones(3), torch.tensor([1.0, 3.0, 2.0])) == 2
    assert difference(bad, bad) == difference(far, far) == 0
    assert np.isnan(difference(bad, torch.ones(2)))
    assert difference(far, torch.ones(2)) == float("inf")
    assert difference([X, X], [X]) is difference(X, X[1:]) is None
    assert difference(X.to_sparse(), X.to_sparse()) is None
