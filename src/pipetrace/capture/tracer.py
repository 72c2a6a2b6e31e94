"""A function mode that writes down every op of a forward as it happens."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from pipetrace.capture import masks, names, places, trees
from pipetrace.capture.models import kind
from pipetrace.records import Argument, Link, Mask, Op, Place, Tensor
from pipetrace.summarise import describe, shape

_SILENT = {"size", "dim", "numel", "stride", "storage_offset", "data_ptr", "shape", "dtype",
           "device", "requires_grad", "requires_grad_", "grad", "grad_fn", "is_leaf", "detach",
           "register_hook", "data", "is_nested", "layout"}  # fmt: skip
"""What is asked of a tensor, or gives the same tensor again: no ops of a forward."""


def _states(given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Read the generators an op on these tensors may draw from."""
    states = [torch.get_rng_state()]
    devices = {tensor.device for tensor in given if tensor.device.type == "cuda"}
    states += [torch.cuda.get_rng_state(device) for device in sorted(devices, key=str)]
    return states


def _memory(tensor: torch.Tensor) -> tuple[int, int]:
    """Return where a tensor's elements are, 0 where nobody knows, and their version."""
    try:
        place = tensor.untyped_storage().data_ptr()
    except Exception:
        # Sparse tensors have no storage, and a subclass may refuse to tell.
        place = 0
    return place, -1 if tensor.is_inference() else tensor._version


def _shares(given: torch.Tensor, before: tuple[int, int], made: torch.Tensor) -> bool:
    """Tell whether `made` looks at the elements of `given`, which the op has not written to."""
    place, version = _memory(given)
    if not place or (place, version) != before or _memory(made)[0] != place:
        return False
    # Tensors of inference mode count no versions: an op that returns its input may have written.
    return version >= 0 or made is not given


def _without_row(mask: Mask) -> Mask:
    return Mask(p=mask.p, kept=mask.kept, total=mask.total, low=mask.low, high=mask.high,
                scale=mask.scale, unit=mask.unit)  # fmt: skip


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
        self._raised: tuple[BaseException, Failed] | None = None
        self._model = model
        self._capture = capture
        self._row = row
        self._rows = rows
        self._values = values
        self._thread = threading.get_ident()
        self._stack: list[tuple[str, nn.Module, int]] = []
        # The modules are kept too: while they live nothing else gets their ids.
        self._calls: dict[int, tuple[nn.Module, int]] = {}
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._links: dict[int, tuple[weakref.ref[torch.Tensor], Link]] = {}
        for path, module in model.named_modules():
            self._adopt(path, module)

    def admit(self, inputs: list[tuple[str, torch.Tensor]]) -> None:
        """Tell which tensors are the forward's inputs."""
        for name, tensor in inputs:
            self._stamp(tensor, Link(source="input", name=name))

    def described(
        self, named: Iterable[tuple[str, torch.Tensor]]
    ) -> tuple[tuple[str, Tensor], ...]:
        """Describe tensors as those of ops are: the sample's row, where they have one."""
        return tuple((name, self._describe(tensor)) for name, tensor in named)

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

    def failed(self, error: BaseException | None) -> Failed | None:
        """Return the op that an exception comes from, where it comes from one."""
        while error is not None and self._raised is not None:
            if error is self._raised[0]:
                return self._raised[1]
            error = error.__cause__ or error.__context__
        return None

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
            output = func(*args, **kwargs)
            if isinstance(output, torch.Tensor) and args and self._is_known(args[0]):
                self._stamp(output, self._link(args[0]))
            return output
        # What we ask of tensors here no other mode of the program, and no subclass, may hear.
        with torch._C.DisableTorchFunction():
            arguments = names.named_arguments(func, name, args, kwargs)
            given = [tensor for value in arguments.values() for _, tensor in trees.leaves(value)]
            shapes, links = tuple(map(shape, given)), tuple(map(self._link, given))
            states, memories = _states(given), list(map(_memory, given))
        try:
            output = func(*args, **kwargs)
        except Exception as error:
            path, type_name, _ = self._where()
            told = Failed(name, path, type_name, shapes, places.here(sys._getframe(1)))
            self._raised = (error, told)
            raise
        with torch._C.DisableTorchFunction():
            made = [tensor for _, tensor in trees.leaves(output)]
            if not made and (name == "setitem" or name.endswith("_")):
                made = given[:1]
            if made:
                state = next((was for was, now in zip(states, _states(given), strict=True)
                              if not torch.equal(was, now)), None)  # fmt: skip
                self._record(
                    name, arguments, made, shapes, links, random=state is not None,
                    view=any(map(_shares, given, memories, repeat(made[0]))),
                    mask=self._mask(func, name, arguments, state),
                )  # fmt: skip
        return output

    def _record(
        self, function: str, arguments: dict[str, Any], made: list[torch.Tensor],
        shapes: tuple[tuple[int, ...], ...], links: tuple[Link, ...], *,
        mask: Mask | None = None, view: bool = False, random: bool = False,
    ) -> None:  # fmt: skip
        path, type_name, module = self._where()
        link = Link(source="op", name=function, index=len(self.ops))
        op = Op(
            capture=self._capture, index=len(self.ops), function=function, module=path,
            module_type=type_name, call=self._stack[-1][2] if self._stack else 0,
            training=module.training,
            arguments=tuple(
                Argument(name=key, value=names.worded(value, values=self._values))
                for key, value in arguments.items() if not any(True for _ in trees.leaves(value))
            ),
            inputs=links, input_shapes=shapes,
            outputs=tuple(map(self._describe, made)),
            called=places.here(sys._getframe(2)), mask=mask, view=view, random=random,
        )  # fmt: skip
        self.ops.append(op)
        for tensor in made:
            self._stamp(tensor, link)
            if not view and not tensor.is_inference() and tensor._base is not None:
                # Written to through a view: what it is a view of has changed as well.
                self._stamp(tensor._base, link)

    def _mask(
        self, func: Callable[..., Any], name: str, arguments: dict[str, Any],
        state: torch.Tensor | None,
    ) -> Mask | None:  # fmt: skip
        call = masks.drop(func, name, arguments)
        if call is None or not call.training or call.input.numel() == 0 or call.input.is_meta:
            return None
        if state is None and 0 < call.p < 1:
            return None
        rng = torch.get_rng_state() if state is None else state
        mask = masks.regenerate(func, name, call, rng, row=self._row_of(call.input))
        return mask if self._values else _without_row(mask)

    def _adopt(self, path: str, module: nn.Module) -> None:
        """Name the tensors that are a module's own; one that is shared has its first name."""
        tensors = [("constant", item) for item in module.__dict__.items()]
        tensors += [("parameter", item) for item in module.named_parameters(recurse=False)]
        tensors += [("buffer", item) for item in module.named_buffers(recurse=False)]
        for source, (name, tensor) in tensors:
            if isinstance(tensor, torch.Tensor) and not self._is_known(tensor):
                self._stamp(tensor, Link(source=source, name=f"{path}.{name}" if path else name))

    def _enter(self, module: nn.Module, args: Any) -> None:
        if threading.get_ident() == self._thread:
            path = self._paths.get(id(module))
            if path is None:
                path = f"(not registered) {kind(module)}"
                self._adopt(path, module)
            _, call = self._calls.get(id(module), (module, 0))
            self._calls[id(module)] = (module, call + 1)
            self._stack.append((path, module, call))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        # A module of another thread was never entered.
        if not self._stack or self._stack[-1][1] is not module:
            return
        with torch._C.DisableTorchFunction():
            made = [tensor for _, tensor in trees.leaves(output) if not self._is_known(tensor)]
            if made:
                # Scripted, or computed outside of torch: the module as a whole is all we saw.
                given = [tensor for _, tensor in trees.leaves(args)]
                shapes, links = tuple(map(shape, given)), tuple(map(self._link, given))
                self._record("forward", {}, made, shapes, links)
        self._stack.pop()

    def _where(self) -> tuple[str, str, nn.Module]:
        path, module, _ = self._stack[-1] if self._stack else ("", self._model, 0)
        return path, kind(module), module

    def _describe(self, tensor: torch.Tensor) -> Tensor:
        return describe(tensor, row=self._row_of(tensor), values=self._values)

    def _row_of(self, tensor: torch.Tensor) -> int | None:
        fits = not tensor.is_nested and tensor.dim() > 0 and tensor.shape[0] == self._rows
        return self._row if fits else None

    def _stamp(self, tensor: torch.Tensor, link: Link) -> None:
        self._links[id(tensor)] = (weakref.ref(tensor), link)

    def _is_known(self, tensor: torch.Tensor) -> bool:
        known = self._links.get(id(tensor))
        return known is not None and known[0]() is tensor

    def _link(self, tensor: torch.Tensor) -> Link:
        return self._links[id(tensor)][1] if self._is_known(tensor) else Link(source="constant")
