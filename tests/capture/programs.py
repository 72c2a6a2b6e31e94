"""Programs of tensor ops that keep a record of their own of what each op was fed and made."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 6
MOST = 2048
"""Steps that make tensors larger leave those alone that have more elements."""


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
