"""A function mode that writes down every op of a forward as it happens."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from pipetrace.capture import masks, names, places, trees
from pipetrace.records import Argument, Link, Mask, Op, Place
from pipetrace.summarise import describe

_SILENT = {"size", "dim", "numel", "stride", "storage_offset", "data_ptr", "shape", "dtype",
           "device", "requires_grad", "requires_grad_", "grad", "grad_fn", "is_leaf", "detach",
           "register_hook", "clone_if_needed", "data", "is_nested", "layout"}  # fmt: skip
_MUTATING = {"setitem", "set_", "copy_"}


class Failed(NamedTuple):
    """The op that raised: what it was, what it was given, where."""

    function: str
    module: str
    module_type: str
    shapes: tuple[tuple[int, ...], ...]
    called: Place | None


class Tracer(TorchFunctionMode):
    """Records the ops of one forward of `model`.

    Args:
        model: The root module.
        capture: The id that its records get.
        row: Which row of the batch values are kept of.
        rows: The batch's length; only tensors of that length are cut to the row.
        values: Whether real values may be kept.
    """

    def __init__(
        self, model: nn.Module, capture: int, *, row: int = 0, rows: int | None, values: bool
    ) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.failed: Failed | None = None
        self._model = model
        self._capture = capture
        self._row = row
        self._rows = rows
        self._values = values
        self._stack: list[tuple[str, nn.Module, int]] = []
        self._calls: dict[int, int] = {}
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._links: dict[int, tuple[weakref.ref[torch.Tensor], Link]] = {}
        for name, parameter in model.named_parameters():
            self._stamp(parameter, Link(source="parameter", name=name))
        for name, buffer in model.named_buffers():
            self._stamp(buffer, Link(source="buffer", name=name))

    def admit(self, inputs: list[tuple[str, torch.Tensor]]) -> None:
        """Tell which tensors are the forward's inputs."""
        for name, tensor in inputs:
            self._stamp(tensor, Link(source="input", name=name))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be on: the mode, and two hooks that tell which module is running."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        try:
            with self:
                yield
        finally:
            before.remove()
            after.remove()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = names.plain_name(func)
        if name in _SILENT:
            return func(*args, **kwargs)
        arguments = names.named_arguments(func, name, args, kwargs)
        given = [tensor for value in arguments.values() for _, tensor in trees.leaves(value)]
        shapes = tuple(tuple(map(int, t.shape)) if not t.is_nested else () for t in given)
        links = tuple(self._link(tensor) for tensor in given)
        started = _states(given)
        try:
            output = func(*args, **kwargs)
        except Exception:
            if self.failed is None:
                path, kind, _ = self._where()
                self.failed = Failed(name, path, kind, shapes, places.here(sys._getframe(1)))
            raise
        made = [tensor for _, tensor in trees.leaves(output)]
        if not made and name in _MUTATING:
            made = given[:1]
        if not made:
            return output
        state = next((was for was, now in zip(started, _states(given), strict=True)
                      if not torch.equal(was, now)), None)  # fmt: skip
        self._record(func, name, arguments, given, shapes, links, made, state)
        return output

    def _record(
        self, func: Callable[..., Any], name: str, arguments: dict[str, Any],
        given: list[torch.Tensor], shapes: tuple[tuple[int, ...], ...], links: tuple[Link, ...],
        made: list[torch.Tensor], state: torch.Tensor | None,
    ) -> None:  # fmt: skip
        path, kind, module = self._where()
        index = len(self.ops)
        op = Op(
            capture=self._capture, index=index, function=name, module=path, module_type=kind,
            call=self._stack[-1][2] if self._stack else 0,
            training=None if module is None else module.training,
            arguments=tuple(
                Argument(name=key, value=names.worded(value)) for key, value in arguments.items()
                if not any(True for _ in trees.leaves(value))
            ),
            inputs=links, input_shapes=shapes,
            outputs=tuple(
                describe(tensor, row=self._row_of(tensor), values=self._values) for tensor in made
            ),
            called=places.here(sys._getframe(2)),
            mask=self._mask(func, name, arguments, state),
            view=_is_view(made[0], given),
            random=state is not None,
        )  # fmt: skip
        self.ops.append(op)
        for tensor in made:
            self._stamp(tensor, Link(source="op", name=name, index=index))

    def _mask(
        self, func: Callable[..., Any], name: str, arguments: dict[str, Any],
        state: torch.Tensor | None,
    ) -> Mask | None:  # fmt: skip
        call = masks.drop(func, name, arguments)
        if call is None or not call.training or call.input.numel() == 0:
            return None
        if state is None and 0 < call.p < 1:
            return None
        rng = torch.get_rng_state() if state is None else state
        mask = masks.regenerate(func, name, call, rng, row=self._row_of(call.input))
        return mask if self._values else _without_row(mask)

    def _enter(self, module: nn.Module, args: Any) -> None:
        path = self._paths.get(id(module))
        call = self._calls.get(id(module), 0)
        self._calls[id(module)] = call + 1
        self._stack.append(
            (f"(not registered) {type(module).__name__}" if path is None else path, module, call)
        )

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        # A failed op is asked for its module after the stack has been left.
        if self._stack and self._stack[-1][1] is module:
            self._stack.pop()

    def _where(self) -> tuple[str, str, nn.Module | None]:
        if not self._stack:
            return "", type(self._model).__name__, self._model
        path, module, _ = self._stack[-1]
        return path, type(module).__name__, module

    def _row_of(self, tensor: torch.Tensor) -> int | None:
        fits = not tensor.is_nested and tensor.dim() > 0 and tensor.shape[0] == self._rows
        return self._row if fits else None

    def _stamp(self, tensor: torch.Tensor, link: Link) -> None:
        self._links[id(tensor)] = (weakref.ref(tensor), link)

    def _link(self, tensor: torch.Tensor) -> Link:
        known = self._links.get(id(tensor))
        return known[1] if known and known[0]() is tensor else Link(source="constant")


def _states(given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Read the generators an op on these tensors may draw from."""
    states = [torch.get_rng_state()]
    devices = {tensor.device for tensor in given if tensor.device.type == "cuda"}
    states += [torch.cuda.get_rng_state(device) for device in sorted(devices, key=str)]
    return states


def _is_view(made: torch.Tensor, given: list[torch.Tensor]) -> bool:
    try:
        return made._base is not None and any(
            made._base is (t._base if t._base is not None else t) for t in given
        )
    except RuntimeError:
        return False


def _without_row(mask: Mask) -> Mask:
    return Mask(p=mask.p, kept=mask.kept, total=mask.total, low=mask.low, high=mask.high,
                scale=mask.scale, unit=mask.unit)  # fmt: skip
