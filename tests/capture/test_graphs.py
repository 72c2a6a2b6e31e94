"""Random programs of tensor ops are traced as they ran: each keeps a record of its own to tell."""

from __future__ import annotations

import copy
import dataclasses
import io
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import pipetrace as pt
from pipetrace.capture.guard import Streams, identical
from pipetrace.capture.storages import meet, region
from pipetrace.parts import Tensor as Described
from pipetrace.records import Capture, Gradient
from pipetrace.runs import Run

WIDTH = 6
MOST = 2048
"""Steps that make tensors larger leave those alone that have more elements."""
EXACT, SAMPLE, VIEWED = 65_536, 4_096, 4_096
"""Statistics are exact up to so many elements, then of so many; views of more have none."""
MODES = {"train": nullcontext, "no grad": torch.no_grad, "inference": torch.inference_mode}
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    database=None,
)


class Noted(NamedTuple):
    """What a program itself knows of one of its ops."""

    function: str
    module: str
    call: int
    links: list[tuple[str, int | str]]
    given: list[tuple[int, ...]]
    made: list[Tensor]
    values: list[np.ndarray]
    view: bool
    memory: int
    random: bool


class Notes:
    """A program's own record: for every element of every storage, which op wrote it last."""

    def __init__(self, own: dict[int, tuple[str, str]], *, hooking: bool) -> None:
        self.ops: list[Noted] = []
        self.calls: Counter[str] = Counter()
        self.hooking = hooking
        self.gradients: dict[tuple[int, int], np.ndarray] = {}
        self._own = own
        self._made_by: dict[int, int] = {}
        self._writers: dict[int, np.ndarray] = {}
        # Nothing else may get the id or the place of what was seen.
        self._alive: list[Tensor] = []

    def origin(self, tensor: Tensor) -> tuple[str, int | str]:
        """Return the op that made this tensor or wrote to one of its elements, the last of them."""
        elements = self._elements(tensor)
        written = int(elements.max()) if elements.size else -1
        last = max(self._made_by.get(id(tensor), -1), written)
        return ("op", last) if last >= 0 else self._own[id(tensor)]

    def alias(self, tensor: Tensor, other: Tensor) -> None:
        """Note that asking for `other` was no op."""
        source, name = self.origin(tensor)
        if source == "op":
            self._made_by[id(other)] = int(name)
        else:
            self._own[id(other)] = (source, str(name))
        self._alive.append(other)

    def run(
        self, function: str, call: Callable[[], Any], given: list[Tensor], module: str, writes: bool
    ) -> Any:
        """Make a call, and note it."""
        with torch._C.DisableTorchFunction():
            links = [self.origin(tensor) for tensor in given]
            shapes = [tuple(tensor.shape) for tensor in given]
            places = [place(tensor) for tensor in given]
            state = torch.get_rng_state()
        output = call()
        with torch._C.DisableTorchFunction():
            made = flat(output) or given[:1]
            shares = place(made[0]) in places
            for tensor in made:
                self._made_by[id(tensor)] = len(self.ops)
                if writes or not shares:
                    self._elements(tensor)[...] = len(self.ops)
            self._alive += [*given, *made]
            self.ops.append(Noted(
                function, module, self.calls[module] - 1 if module else 0, links, shapes, made,
                [tensor.detach().double().numpy().copy() for tensor in made],
                shares and not writes,
                0 if shares else sum(tensor.numel() * tensor.element_size() for tensor in made),
                not torch.equal(state, torch.get_rng_state()),
            ))  # fmt: skip
            if self.hooking:
                self._hook(made, len(self.ops) - 1)
        return output

    def _hook(self, made: list[Tensor], index: int) -> None:
        for output, tensor in enumerate(made):
            if tensor.requires_grad:
                key = index, output
                tensor.register_hook(
                    lambda gradient, key=key: self.gradients.update({key: gradient.numpy().copy()})
                )

    def _elements(self, tensor: Tensor) -> np.ndarray:
        """Return the part of a storage's record that a tensor covers."""
        key, storage = place(tensor), tensor.untyped_storage()
        if key not in self._writers:
            self._writers[key] = np.full(storage.nbytes() // tensor.element_size(), -1)
        known = self._writers[key]
        strides = [stride * known.itemsize for stride in tensor.stride()]
        start = known[tensor.storage_offset() :]
        return np.lib.stride_tricks.as_strided(start, tuple(tensor.shape), strides)


def place(tensor: Tensor) -> int:
    storage = tensor.untyped_storage()
    return storage.data_ptr() or storage._cdata


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for item in value for t in flat(item)] if isinstance(value, (tuple, list)) else []


# No function of the program's reaches what a context variable holds: a replay does not undo it.
NOTES: ContextVar[Notes] = ContextVar("NOTES")


@dataclasses.dataclass
class Pair:
    a: Tensor
    b: Tensor


class Both(NamedTuple):
    a: Tensor
    b: Tensor


FORMS: dict[str, Callable[[Tensor, Tensor], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "plain": lambda a, b: ((a, b), {}),
    "dict": lambda a, b: (({"a": a, "b": b},), {}),
    "dataclass": lambda a, b: ((Pair(a, b),), {}),
    "namedtuple": lambda a, b: ((Both(a, b),), {}),
    "nested": lambda a, b: (([a, (b,)],), {}),
    "keyword": lambda a, b: ((a,), {"extra": b}),
}
INPUTS = {
    "plain": ("input 1", "input 2"),
    "dict": ("input['a']", "input['b']"),
    "dataclass": ("input.a", "input.b"),
    "namedtuple": ("input.a", "input.b"),
    "nested": ("input[0]", "input[1][0]"),
    "keyword": ("input", "extra"),
}


class Program(nn.Module):
    """Runs its steps, and returns what they have made."""

    def __init__(self, steps: list[tuple[str, int, int]], form: str, noting: bool) -> None:
        super().__init__()
        self.steps, self.form, self.noting = steps, form, noting
        self.hooking = False
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.same = self.linear
        self.drop = nn.Dropout(0.4)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("variance", torch.ones(WIDTH))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, first: Any, second: Any = None, *, extra: Any = None) -> Any:
        pool = [*inside(first), *inside(second), *inside(extra)]
        if self.noting:
            own = {id(t): ("input", name) for t, name in zip(pool, INPUTS[self.form], strict=True)}
            own |= {id(t): ("parameter", name) for name, t in self.named_parameters()}
            own |= {id(t): ("buffer", name) for name, t in self.named_buffers()}
            NOTES.set(Notes(own, hooking=self.hooking))
        for name, one, other in self.steps:
            made = STEPS[name](self, pool[one % len(pool)], pool[other % len(pool)])
            pool += [tensor for tensor in flat(made) if tensor.dtype == torch.float32]
        return {"all": pool, "last": (pool[-1],)}

    def op(self, function: str, call: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """Call a function; `function` is the name that it goes by."""
        writes = function.endswith("_") or function == "setitem" or bool(settings.get("inplace"))
        inputs = [*flat(args), *flat(list(settings.values()))]
        return self._noted(function, lambda: call(*args, **settings), inputs, "", writes)

    def module(self, path: str, function: str, args: tuple[Any, ...], *own: Tensor) -> Any:
        """Call a module that is one op."""
        if self.noting:
            NOTES.get().calls[path] += 1
        module = self.get_submodule(path)
        return self._noted(function, lambda: module(*args), [*flat(args), *own], path, False)

    def _noted(self, function: str, call: Callable[[], Any], *about: Any) -> Any:
        return NOTES.get().run(function, call, *about) if self.noting else call()


def inside(value: Any) -> list[Tensor]:
    if isinstance(value, dict):
        return list(value.values())
    return [value.a, value.b] if isinstance(value, Pair) else flat(value)


STEPS: dict[str, Callable[[Program, Tensor, Tensor], Any]] = {}
IN_PLACE = ("add_", "mul_", "relu_", "tanh_", "clamp_", "iadd", "inplace relu", "inplace dropout",
            "add_ other", "fill column", "fill row", "copy row", "count")  # fmt: skip
_ONE: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    "relu": ("relu", torch.relu),
    "gelu": ("gelu", F.gelu),
    "clone": ("clone", torch.clone),
    "contiguous": ("contiguous", Tensor.contiguous),
    "add number": ("add", lambda x: x + 1.5),
    "from number": ("rsub", lambda x: 1 - x),
    "softmax": ("softmax", lambda x: x.softmax(-1)),
    "sum": ("sum", torch.sum),
    "mean": ("mean", lambda x: x.mean(-1, keepdim=True)),
    "cumsum": ("cumsum", lambda x: x.cumsum(-1)),
    "isfinite": ("isfinite", torch.isfinite),
    "view": ("view", lambda x: x.view(-1)),
    "reshape": ("reshape", lambda x: x.reshape(-1)),
    "unsqueeze": ("unsqueeze", lambda x: x.unsqueeze(0)),
    "squeeze": ("squeeze", torch.squeeze),
    "transpose": ("transpose", lambda x: x.transpose(0, -1)),
    "property": ("mT", lambda x: x.mT),
    "expand": ("expand", lambda x: x[None].expand(2, *x.shape)),
    "cut": ("getitem", lambda x: x[..., 1:]),
    "every other": ("getitem", lambda x: x[..., ::2]),
    "first": ("getitem", lambda x: x[0]),
    "unfold": ("unfold", lambda x: x.unfold(-1, 2, 1)),
    "chunk": ("chunk", lambda x: x.chunk(2, -1)),
    "split": ("split", lambda x: x.split([1, x.shape[0] - 1])),
    "unbind": ("unbind", torch.unbind),
    "topk": ("topk", lambda x: x.topk(2, -1)),
    "sort": ("sort", lambda x: x.sort(0)),
    "max": ("max", lambda x: x.max(dim=-1)),
    "aminmax": ("aminmax", torch.aminmax),
    "var_mean": ("var_mean", lambda x: torch.var_mean(x, -1, correction=0)),
    "add_": ("add_", lambda x: x.add_(0.5)),
    "mul_": ("mul_", lambda x: x.mul_(0.5)),
    "relu_": ("relu_", torch.relu_),
    "tanh_": ("tanh_", torch.tanh_),
    "clamp_": ("clamp_", lambda x: x.clamp_(-1, 1)),
    "iadd": ("add_", lambda x: x.__iadd__(2)),
    "fill column": ("setitem", lambda x: x.__setitem__((..., slice(0, 1)), 3.0)),
    "rand_like": ("rand_like", torch.rand_like),
    "dropout always": ("dropout", lambda x: F.dropout(x, 0.3)),
    "dropout never": ("dropout", lambda x: F.dropout(x, 0.3, training=False)),
}
for _key, (_name, _call) in _ONE.items():
    if _key != "expand":
        STEPS[_key] = lambda program, x, y, name=_name, call=_call: program.op(name, call, x)


def step(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        STEPS[name] = function
        return function

    return add


@step("expand")
def _expand(program: Program, x: Tensor, y: Tensor) -> Any:
    taller = program.op("unsqueeze", torch.unsqueeze, x, 0)
    return program.op("expand", lambda t: t.expand(2, *x.shape), taller)


@step("add")
def _add(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("add", torch.add, x, y if x.shape == y.shape else x)


@step("add_ other")
def _add_other(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("add_", Tensor.add_, x, y if x.shape == y.shape else x)


@step("fill row")
def _fill_row(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("setitem", Tensor.__setitem__, x, 0, program.op("sum", torch.sum, y))


@step("copy row")
def _copy_row(program: Program, x: Tensor, y: Tensor) -> Any:
    row = program.op("getitem", Tensor.__getitem__, x, 0)
    return program.op("copy_", Tensor.copy_, row, program.op("mean", torch.mean, y))


@step("inplace relu")
def _relu_inplace(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("relu", F.relu, x, inplace=True)


@step("inplace dropout")
def _dropout_inplace(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("dropout", F.dropout, x, p=0.2, training=True, inplace=True)


@step("detach")
def _detach(program: Program, x: Tensor, y: Tensor) -> Any:
    other = x.detach()
    if program.noting:
        with torch._C.DisableTorchFunction():
            NOTES.get().alias(x, other)
    return program.op("mul", torch.mul, other, 2.0)


@step("matmul")
def _matmul(program: Program, x: Tensor, y: Tensor) -> Any:
    turned = program.op("transpose", lambda t: t.transpose(-1, -2), x)
    return program.op("matmul", torch.matmul, x, turned) if x.numel() < MOST else x


@step("cat")
def _cat(program: Program, x: Tensor, y: Tensor) -> Any:
    other = y if x.shape == y.shape else x
    return program.op("cat", torch.cat, [x, other], -1) if x.numel() < MOST else x


@step("stack")
def _stack(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("stack", torch.stack, (x, x), dim=0) if x.numel() < MOST else x


@step("gather")
def _gather(program: Program, x: Tensor, y: Tensor) -> Any:
    values, places = program.op("topk", torch.topk, x, 1)
    return values, program.op("gather", torch.gather, x, -1, index=places)


@step("masked")
def _masked(program: Program, x: Tensor, y: Tensor) -> Any:
    wanted = program.op("gt", lambda t: t > 0, x)
    return program.op("getitem", Tensor.__getitem__, x, wanted)


@step("where")
def _where(program: Program, x: Tensor, y: Tensor) -> Any:
    wanted = program.op("lt", lambda t: t < 0.5, x)
    return program.op("where", torch.where, wanted, x, 0.0)


@step("number")
def _number(program: Program, x: Tensor, y: Tensor) -> Any:
    total = program.op("mean", torch.mean, y).item()
    return program.op("mul", lambda t: t * total, x)


@step("double")
def _double(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("float", Tensor.float, program.op("double", Tensor.double, x))


@step("large")
def _large(program: Program, x: Tensor, y: Tensor) -> Any:
    large = program.op("randn", torch.randn, 300, 250)
    program.op("t", torch.t, large)
    return program.op("sum", torch.sum, program.op("relu", torch.relu, large))


@step("linear")
def _linear(program: Program, x: Tensor, y: Tensor) -> Any:
    own = program.linear.weight, program.linear.bias
    made = program.module("linear", "linear", (x,), *own)
    # The same module by another name.
    return made, program.op("linear", F.linear, made, *own)


@step("einsum")
def _einsum(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("einsum", torch.einsum, "...i,ji->...j", x, program.weight)


@step("weight")
def _weight(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.op("matmul", torch.matmul, x, program.op("t", torch.t, program.weight))


@step("lstm")
def _lstm(program: Program, x: Tensor, y: Tensor) -> Any:
    start = program.op("zeros", torch.zeros, *((1, WIDTH) if x.dim() == 2 else (1, x.shape[0], 6)))
    own = program.lstm._flat_weights
    if x.dim() == 3:
        return program.module("lstm", "lstm", (x, (start, start)), *own)
    return program.op("relu", torch.relu, x)


@step("dropout")
def _dropout(program: Program, x: Tensor, y: Tensor) -> Any:
    return program.module("drop", "dropout", (x,))


@step("norm")
def _norm(program: Program, x: Tensor, y: Tensor) -> Any:
    buffers = program.mean, program.variance
    return program.op("batch_norm", F.batch_norm, x, *buffers, training=program.training)


@step("count")
def _count(program: Program, x: Tensor, y: Tensor) -> Any:
    program.op("add_", Tensor.add_, program.count, 1)
    return program.op("mul", torch.mul, x, program.count)


steps = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(sorted(STEPS)), st.sampled_from(IN_PLACE)),
        st.integers(0, 30), st.integers(0, 30),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


class Called(NamedTuple):
    """What a call left: compared bit for bit."""

    output: Any
    error: Exception | None
    streams: Streams
    modes: list[bool]
    buffers: list[Tensor]
    inputs: list[Tensor]
    gradients: list[Tensor | None]
    trouble: str


def called(model: Program, values: tuple[Tensor, Tensor], call: Callable[..., Any]) -> Called:
    """Call a model from a fixed random state, then run a backward through all that it gives."""
    torch.manual_seed(7)
    args, kwargs = FORMS[model.form](*(tensor.clone() for tensor in values))
    output, error, trouble = None, None, ""
    try:
        output = call(*args, **kwargs)
    except Exception as raised:
        error = raised
    streams = Streams.take()
    if output is not None and not torch.is_inference_mode_enabled():
        ends = [t.square().mean() for t in output["all"] if t.requires_grad and t.numel()]
        try:
            if ends:
                torch.stack(ends).sum().backward()
        except RuntimeError as raised:
            trouble = str(raised)
    inputs = [
        *(t for a in args for t in inside(a)),
        *(t for a in kwargs.values() for t in inside(a)),
    ]
    return Called(
        output, error, streams, [module.training for module in model.modules()],
        [buffer.clone() for buffer in model.buffers()], inputs,
        [parameter.grad for parameter in model.parameters()], trouble,
    )  # fmt: skip


def kept(model: Program, values: tuple[Tensor, Tensor]) -> int:
    """Return the bytes that autograd keeps for a backward beside the model's own."""
    own = {place(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if place(tensor) not in own:
            saved.setdefault(place(tensor), tensor)
        return tensor

    torch.manual_seed(7)
    args, kwargs = FORMS[model.form](*(tensor.clone() for tensor in values))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(*args, **kwargs)
    assert output is not None
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def alike(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a is b is None or (a is not None and b is not None and identical(a, b))
        for a, b in zip(one, other, strict=True)
    )


def same_effect(plain: Called, traced: Called) -> None:
    """Assert that a traced call did what a plain one does, to the last bit."""
    assert type(plain.error) is type(traced.error), traced.error
    assert str(plain.error) == str(traced.error)
    if plain.output is not None:
        assert alike(plain.output["all"], traced.output["all"])
        assert all(vars(tensor) == {} for tensor in traced.output["all"])
        assert all(tensor._backward_hooks is None for tensor in traced.output["all"])
        assert stored(plain.output) == stored(traced.output)
    assert plain.streams.same(traced.streams)
    assert plain.modes == traced.modes
    assert alike(plain.buffers, traced.buffers)
    assert alike(plain.inputs, traced.inputs)
    assert plain.trouble == traced.trouble
    assert alike(plain.gradients, traced.gradients)


def stored(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def nothing_left(before: Any) -> None:
    assert nn.Module.__dict__["__call__"] is before
    assert torch._C._len_torch_function_stack() == 0
    assert not nn.modules.module._has_any_global_hook()
    assert torch._C._autograd._top_saved_tensors_default_hooks(True) is None


def as_noted(run: Run, notes: Notes, model: Program) -> None:
    """Assert that the ops of a run are what the program knows of them."""
    ops = run.ops
    assert [op.function for op in ops] == [note.function for note in notes.ops]
    for op, note in zip(ops, notes.ops, strict=True):
        assert [(link.source, link.name if link.index is None else link.index)
                for link in op.inputs] == note.links, op  # fmt: skip
        assert list(op.input_shapes) == note.given, op
        assert (op.module, op.call) == (note.module, note.call)
        assert op.training is model.training
        assert op.view is note.view, op
        assert op.memory == note.memory, op
        assert op.random is note.random, op
        assert op.called is not None
        assert op.called.file == __file__
        assert not op.opaque
        assert len(op.outputs) == len(note.made)
        for told, made, values in zip(op.outputs, note.made, note.values, strict=True):
            assert told.shape == tuple(made.shape)
            assert told.dtype == str(made.dtype).removeprefix("torch.")
            statistics_hold(told, values, view=note.view)


def statistics_hold(told: Described, values: np.ndarray, *, view: bool) -> None:
    """Assert that statistics are those of the values, computed with numpy."""
    if told.count == 0:
        assert values.size == 0 or (view and values.size > VIEWED)
        return
    assert told.exact is (values.size <= EXACT)
    assert told.count == (values.size if told.exact else SAMPLE)
    finite = values[np.isfinite(values)]
    if not told.exact:
        assert told.minimum >= finite.min()
        assert told.maximum <= finite.max()
        assert abs(told.mean - finite.mean()) < 6 * finite.std() / SAMPLE**0.5
        return
    assert (told.nans, told.infinities) == (
        int(np.isnan(values).sum()),
        int(np.isinf(values).sum()),
    )
    assert told.zeros == pytest.approx(float((values == 0).mean()), rel=1e-6)
    if finite.size:
        size = float(np.abs(finite).max()) * 1e-6
        assert told.mean == pytest.approx(finite.mean(), rel=1e-6, abs=size)
        assert told.std == pytest.approx(finite.std(), rel=1e-6, abs=size)
        assert (told.minimum, told.maximum) == (finite.min(), finite.max())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("mode", MODES)
@given(steps=steps, form=st.sampled_from(sorted(FORMS)), receipt=st.booleans(),
       wide=st.booleans(), seed=st.integers(0, 1000))  # fmt: skip
@quick
def test_a_program_is_traced_as_it_ran(
    mode: str, training: bool, steps: Any, form: str, receipt: bool, wide: bool, seed: int
):
    torch.manual_seed(seed)
    values = torch.randn((4, 3, WIDTH) if wide else (4, WIDTH)), torch.randn(4, WIDTH)
    model = Program(steps, form, noting=True).train(training)
    twin = copy.deepcopy(model)
    twin.noting = False
    third = copy.deepcopy(twin)
    call = nn.Module.__dict__["__call__"]
    runs: list[Run] = []

    def trace(*args: Any, **kwargs: Any) -> Any:
        try:
            with pt.options(receipt=receipt):
                runs.append(pt.trace(model, *args, **kwargs))
        except Exception as error:
            runs.append(error.pipetrace)  # type: ignore[attr-defined]  # trace sets it
            raise
        return runs[0].output

    with MODES[mode]():
        plain = called(twin, values, twin)
        traced = called(model, values, trace)
        same_effect(plain, traced)
        nothing_left(call)
        as_noted(runs[0], NOTES.get(), model)
    capture = runs[0].recording.last(Capture)
    assert capture is not None
    assert capture.complete is (plain.error is None)
    if receipt and plain.error is None:
        assert capture.receipt is not None
        assert capture.receipt.equal is True
        assert all(check.ok for check in capture.receipt.checks)
        if mode == "train":
            assert sum(op.saved or 0 for op in runs[0].ops) == kept(third, values)


@pytest.mark.filterwarnings("ignore")
@given(steps=steps, seed=st.integers(0, 1000))
@quick
def test_gradients_are_those_that_hooks_on_the_tensors_see(steps: Any, seed: int):
    torch.manual_seed(seed)
    values = torch.randn(4, 3, WIDTH), torch.randn(4, WIDTH)
    model = Program(steps, "plain", noting=False)
    twin = copy.deepcopy(model)
    twin.noting = twin.hooking = True
    runs: list[Run] = []

    def trace(*args: Any, **kwargs: Any) -> Any:
        with pt.options(gradients=True):
            runs.append(pt.trace(model, *args, **kwargs))
        assert runs[0].recording.all(Gradient) == []
        return runs[0].output

    plain = called(twin, values, twin)
    traced = called(model, values, trace)
    if plain.error is not None:
        assert str(plain.error) == str(traced.error)
        return
    assert alike(plain.output["all"], traced.output["all"])
    assert alike(plain.gradients, traced.gradients)
    recorded = {(g.op, g.output): g.gradient for g in runs[0].recording.all(Gradient)}
    if not plain.trouble:
        assert recorded.keys() == NOTES.get().gradients.keys()
    for key, values_there in NOTES.get().gradients.items():
        assert recorded[key].shape == values_there.shape
        statistics_hold(recorded[key], values_there.astype(np.float64), view=False)


regions = st.tuples(
    st.integers(0, 12), st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6)), max_size=3)
)


@given(one=regions, other=regions)
@settings(deadline=None, derandomize=True)
def test_two_views_meet_where_they_share_an_element(one: Any, other: Any):
    elements = torch.arange(60, dtype=torch.float32)
    views = [
        elements.as_strided([size for size, _ in dims], [stride for _, stride in dims], start)
        for start, dims in (one, other)
    ]
    covered = [set(view.reshape(-1).tolist()) for view in views]
    assert meet(*map(region, views)) is bool(covered[0] & covered[1])
