"""The places in PyTorch that every loop passes, watched while a recording lasts."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import dataloader
from torch.utils.hooks import RemovableHandle

LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss",
    "gaussian_nll_loss", "soft_margin_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "hinge_embedding_loss", "cosine_embedding_loss",
    "margin_ranking_loss", "triplet_margin_loss", "ctc_loss",
)  # fmt: skip
"""The loss functions of `torch.nn.functional`; the `nn.*Loss` modules call these."""

_WRAPPERS: set[CodeType] = set()

_innermost_transform = torch._C._functorch.peek_interpreter_stack
"""What `torch.func` maps or derives has no numbers that could be kept: it is not heard."""


class Listener(Protocol):
    """What hears the signals; an exception of its own never reaches the program."""

    def give_up(self, error: Exception) -> None:
        """Listen no more: this was raised by the listener, not by the program."""

    def forward(
        self, call: Callable[..., Any], model: nn.Module, args: Any, kwargs: Any
    ) -> Any:  # fmt: skip
        """Make the outermost call of a module, and return its output."""

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Hear of a loss function that has returned."""

    def call_raised(
        self, name: str, args: tuple[Any, ...], error: BaseException
    ) -> None:  # fmt: skip
        """Hear of a loss function that has raised."""

    def backward_called(self, roots: Sequence[torch.Tensor]) -> None:
        """Hear of a backward that is about to run."""

    def steps(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """Hear of an optimizer that is about to step: of the first, and of those asked for."""

    def measured(self) -> None:
        """Hear that a step whose beginning was heard is over, before `stepped` counts it."""

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Hear of an optimizer that has stepped."""

    def batch_came(self, iterator: Any, batch: Any) -> None:
        """Hear of a batch that a data loader gives."""

    def pass_ended(self, iterator: Any) -> None:
        """Hear of a data loader that has no more batches."""


class Beside(Protocol):
    """What hears some of the signals too; an exception of its own never reaches anybody."""

    def around(
        self, call: Callable[..., Any], model: nn.Module, /, *args: Any, **kwargs: Any
    ) -> Any:  # fmt: skip
        """Make the outermost call of a module, inside of the listener's, and return its output."""

    def loss_called(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:  # fmt: skip
        """Hear of a loss function that has returned."""

    def backward_called(self, tensors: Sequence[torch.Tensor]) -> None:
        """Hear of a backward that is about to run."""


class Watch:
    """Sends signals to a listener between `begin` and `end`.

    Outermost module calls are known by a flag per thread; only the thread that began is heard, and
    nothing of what it runs under `quiet`.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._inside = threading.local()
        self._undo: list[Callable[[], None]] = []
        self.beside: Beside | None = None
        """Is set before `begin`."""
        self._hooks: list[RemovableHandle] = []

    def begin(self) -> None:
        """Start to watch what this thread does."""
        self._inside.now = self._inside.off = False
        self._undo = [
            _replace(nn.Module, "__call__", self._call),
            _replace(dataloader._BaseDataLoaderIter, "__next__", self._next),
        ]
        self._early: RemovableHandle | None = None
        self._hooks = [register_optimizer_step_post_hook(self._after_step)]
        self.ask_before_step()
        for name in LOSSES:
            original = getattr(nn.functional, name)
            self._undo.append(
                _replace(nn.functional, name, functools.partial(self._loss, original, name))
            )
        for module in (torch.autograd, torch.autograd.graph):
            if hasattr(module, "_engine_run_backward"):
                self._undo.append(_replace(module, "_engine_run_backward", self._backward))

    def end(self) -> None:
        """Stop to watch, and put everything back; what the program imported hears no more."""
        self._inside.now = self._inside.off = True
        while self._undo:
            self._undo.pop()()
        while self._hooks:
            self._hooks.pop().remove()
        self._drop_early()

    def ask_before_step(self) -> None:
        """Let the listener hear the next step begin: a hook that stays would cost every step."""
        if self._early is None and self._hooks:
            self._early = register_optimizer_step_pre_hook(self._before_step)

    @property
    def hears(self) -> bool:
        """Whether what this thread does is heard."""
        return not getattr(self._inside, "off", True)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Hear nothing from this thread: what runs inside is our own."""
        inside = self._inside
        before = getattr(inside, "now", True), getattr(inside, "off", True)
        inside.now = inside.off = True
        try:
            yield
        finally:
            inside.now, inside.off = before

    def _call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        inside, listener = self._inside, self._listener
        compiling, transform = torch.compiler.is_compiling, _innermost_transform
        call = original if self.beside is None else functools.partial(self.beside.around, original)

        def __call__(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if compiling() or getattr(inside, "now", True) or transform() is not None:
                return original(self, *args, **kwargs)
            inside.now = True
            try:
                return listener.forward(call, self, args, kwargs)
            finally:
                inside.now = False

        return _disguise(__call__, nn.Module.__call__)

    def _next(self, original: Callable[..., Any]) -> Callable[..., Any]:
        inside, listener = self._inside, self._listener

        def __next__(self: Any) -> Any:
            if getattr(inside, "off", True):
                return original(self)
            try:
                batch = original(self)
            except StopIteration:
                try:
                    listener.pass_ended(self)
                except Exception as error:
                    listener.give_up(error)
                raise
            try:
                listener.batch_came(self, batch)
            except Exception as error:
                listener.give_up(error)
            return batch

        return functools.wraps(original)(__next__)

    def _loss(
        self, original: Callable[..., Any], name: str, _: Callable[..., Any]
    ) -> Callable[..., Any]:  # fmt: skip
        inside, listener, beside = self._inside, self._listener, self.beside
        compiling, transform = torch.compiler.is_compiling, _innermost_transform

        def loss(*args: Any, **kwargs: Any) -> Any:
            if compiling() or getattr(inside, "off", True) or transform() is not None:
                return original(*args, **kwargs)
            try:
                result = original(*args, **kwargs)
            except Exception as error:
                try:
                    listener.call_raised(name, args, error)
                except Exception as own:
                    listener.give_up(own)
                raise
            try:
                listener.loss_called(name, args, kwargs, result)
            except Exception as error:
                listener.give_up(error)
            if beside is not None:
                beside.loss_called(name, args, kwargs, result)
            return result

        return _disguise(loss, original)

    def _backward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        inside, listener, beside = self._inside, self._listener, self.beside

        def _engine_run_backward(roots: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(inside, "now", True) or _innermost_transform() is not None:
                return original(roots, *args, **kwargs)
            try:
                listener.backward_called(roots)
            except Exception as error:
                listener.give_up(error)
            if beside is not None:
                beside.backward_called(roots)
            # What a checkpoint computes again in backward is no forward of the program.
            inside.now = True
            try:
                return original(roots, *args, **kwargs)
            finally:
                inside.now = False

        return functools.wraps(original)(_engine_run_backward)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if getattr(self._inside, "off", True):
            return
        try:
            self._listener.steps(optimizer, len(args) > 1 or kwargs.get("closure") is not None)
        except Exception as error:
            self._give_up(error)

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if getattr(self._inside, "off", True):
            return
        try:
            if self._early is not None:
                self._drop_early()
                self._listener.measured()
            self._listener.stepped(optimizer)
        except Exception as error:
            self._give_up(error)

    def _drop_early(self) -> None:
        if self._early is not None:
            self._early.remove()
            self._early = None

    def _give_up(self, error: Exception) -> None:
        """The optimizer is going through its hooks: ours leave them at the end."""
        hooks, early = self._hooks, self._early
        self._hooks, self._early = [], None
        self._listener.give_up(error)
        self._hooks, self._early = hooks, early


def _leave_alone(*functions: Any) -> None:
    """Let the compiler of PyTorch run our hooks as they are, not take them into its graphs."""
    frames = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    names = "_FrameExecStrategy", "_FrameAction", "set_code_exec_strategy"
    strategy, action, choose = (getattr(frames, name, None) for name in names)
    if strategy is not None and action is not None and choose is not None:
        for function in functions:
            choose(function.__code__, strategy(action.SKIP, action.SKIP))


_leave_alone(Watch._before_step, Watch._after_step)


def original(name: str) -> Callable[..., Any]:
    """Return a loss function as PyTorch made it, also while it is watched."""
    function: Callable[..., Any] = getattr(nn.functional, name)
    return getattr(function, "__pipetrace_original__", function)


def _replace(
    owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[], None]:  # fmt: skip
    before = getattr(owner, name)
    ours = wrapper(before)
    setattr(owner, name, ours)

    def undo() -> None:
        # What somebody else has put in our place since stays; ours inside it passes on.
        if getattr(owner, name) is ours:
            setattr(owner, name, before)

    return undo


def _disguise(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Give a wrapper its original's file and globals.

    The compiler skips frames of PyTorch's own files, and the script compiler resolves names in the
    globals of the function it was given: both then see what they would see without us.
    """
    assert isinstance(wrapper, FunctionType)
    assert isinstance(original, FunctionType)
    code = wrapper.__code__.replace(co_filename=original.__code__.co_filename)
    twin = FunctionType(
        code, original.__globals__, original.__name__, wrapper.__defaults__, wrapper.__closure__
    )
    functools.update_wrapper(twin, original)
    twin.__dict__["__pipetrace_original__"] = original
    _WRAPPERS.add(code)
    return twin


def is_wrapper(code: CodeType) -> bool:
    """Tell the code of our wrappers, which carries the name of PyTorch's files."""
    return code in _WRAPPERS
