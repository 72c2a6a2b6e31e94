"""A function mode that keeps of every op of a forward what is needed to tell of it later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from pipetrace.capture import asked, draws, names, places, storages, strangers, trees, twins
from pipetrace.capture.failures import Failed
from pipetrace.capture.models import kind
from pipetrace.capture.origins import Origins
from pipetrace.parts import Link, Tensor
from pipetrace.summarise import Held, Room, hold, shape, told

_SMALL = 4096
"""Views of more elements than this have no statistics of their own: the op they look at has."""
_CALL = nn.Module._call_impl.__code__


class Entry(NamedTuple):
    """One call of a module."""

    path: str
    kind: str
    module: nn.Module
    call: int
    spot: places.Spot | None
    """The line that called it."""


class Heard(NamedTuple):
    """One op as it was heard; `telling` makes a record of it."""

    plan: names.Plan
    told: tuple[tuple[int | str, Any], ...]
    """Arguments that are no tensors, by position or keyword."""
    entry: Entry
    training: bool
    links: tuple[Link, ...]
    shapes: tuple[tuple[int, ...], ...]
    made: tuple[Held, ...]
    spot: places.Spot | None
    view: bool = False
    memory: int = 0
    draw: draws.Draw | None = None
    saved: int | None = None
    opaque: str = ""
    cut: str = ""
    cut_spot: places.Spot | None = None
    within: str = ""


Examine = Callable[[Heard, Sequence[torch.Tensor], list[torch.Tensor], int], None]


class Needed(Exception):  # noqa: N818  # it is no error
    """A backward inside the forward asks for activations that were not kept."""


class Tracer(TorchFunctionMode):
    """Hears the ops of one forward of `model`.

    Args:
        model: The root module.
        row: Which row of the batch values are kept of.
        rows: The batch's length; only tensors of that length are cut to the row.
        values: Whether real values may be kept.
        gradients: Whether the gradients of outputs are kept when a backward computes them.
        examine: Is shown every op with the tensors that it was given and has made.

    Attributes:
        heard: The ops in order.
        gradients: What was kept of gradients, by op and output.
        failed: The op that was blamed for what the forward raised.
        strangers: The modules that were called without being registered, by their paths; one
            whose place is not known has its class in the path.
    """

    def __init__(
        self, model: nn.Module, *, row: int = 0, rows: int | None, values: bool = True,
        gradients: bool = False, examine: Examine | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heard: list[Heard] = []
        self.gradients: dict[tuple[int, int], Held] = {}
        self._wants_gradients = gradients
        self._examine = examine
        self.failed: Failed | None = None
        self._raised: tuple[BaseException, Failed] | None = None
        self.row = row
        self.rows = rows
        self._shown = None if rows is None else row
        self.values = values
        self._thread = threading.get_ident()
        self._root = Entry("", kind(model), model, 0, None)
        self._stack: list[Entry] = []
        # The modules are kept too: while they live nothing else gets their ids.
        self._calls: dict[int, tuple[nn.Module, int]] = {}
        self._paths: dict[int, tuple[str, str]] = {}
        self.strangers: dict[str, nn.Module] = {}
        self._kept: dict[int, str] | None = None
        """Where modules are kept that are not registered, once one was called."""
        self._within = ""
        self._origins = Origins(model)
        self._room = Room()
        self._given: list[torch.Tensor] = []
        self._saved: set[tuple[Any, int]] = set()
        self._bytes: int | None = None
        self._alive: list[torch.UntypedStorage] = []
        self._needed = self._graph = False
        # Whose storage each op's output has: the op that made it, or what none has made.
        self._owners: list[int | Link] = []
        with torch._C.DisableTorchFunction():
            for path, module in model.named_modules():
                self._adopt(path, module)

    def admit(self, inputs: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Tell which tensors are the forward's inputs; one given twice has its first name."""
        with torch._C.DisableTorchFunction():
            for name, tensor in reversed(list(inputs)):
                self._origins.stamp(tensor, Link(source="input", name=name))

    def held(self, named: Iterable[tuple[str, torch.Tensor]]) -> list[tuple[str, Held]]:
        """Keep of tensors what is kept of an op's: the sample's row, where they have one."""
        with torch._C.DisableTorchFunction():
            return [(name, self._held(tensor, view=False)) for name, tensor in named]

    def makers(self, named: Iterable[tuple[str, torch.Tensor]]) -> tuple[int, ...]:
        """Return the ops that made tensors."""
        links = (self._origins.link(tensor, self._origins.version(tensor)) for _, tensor in named)
        return tuple(link.index for link in links if link.index is not None)

    def told(self, named: Iterable[tuple[str, Held]]) -> tuple[tuple[str, Tensor], ...]:
        """Say what was kept."""
        return tuple((name, told(held, values=self.values)) for name, held in named)

    def described(
        self, named: Iterable[tuple[str, torch.Tensor]]
    ) -> tuple[tuple[str, Tensor], ...]:
        """Describe tensors as those of ops are."""
        return self.told(self.held(named))

    @contextmanager
    def watching(self, *, saved: bool = False) -> Iterator[None]:
        """Be on: the mode, and two hooks that tell which module runs.

        Args:
            saved: Whether to count what is kept for a backward. Nothing is then really kept: a
                backward through this forward raises `Needed`, and `unkept` is true after.
        """
        self._root = self._root._replace(spot=places.caller(sys._getframe(1)))
        self._graph = torch.is_grad_enabled()
        keeping: AbstractContextManager[object] = nullcontext()
        if saved:
            self._bytes = 0
            keeping = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        try:
            with self, keeping:
                yield
        finally:
            # It leads to the frames of the forward, and they to all that it has computed.
            self._raised = None
            before.remove()
            after.remove()
            self._settle()

    @property
    def unkept(self) -> bool:
        """Whether a backward asked for what was only counted."""
        return self._needed

    def blame(self, error: BaseException | None) -> None:
        """Find the op that an exception comes from, where it comes from one, while watching."""
        while error is not None and self._raised is not None:
            if error is self._raised[0]:
                self.failed = self._raised[1]
                return
            error = error.__cause__ or error.__context__

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        kwargs = kwargs or {}
        plan = names.plan(func)
        if plan.silent:
            output = func(*args, **kwargs)
            if isinstance(output, torch.Tensor) and args and plan.name != "grad":
                with torch._C.DisableTorchFunction():
                    self._origins.pass_on(args[0], output, apart=plan.name == "data")
                    link = self._origins.known(output)
                    cut = asked.cuts(args[:1], output)
                    if cut and link is not None and link.index is not None:
                        spot = self._spot(sys._getframe(1))
                        cutting = self.heard[link.index]._replace(cut=plan.name, cut_spot=spot)
                        self.heard[link.index] = cutting
            return output
        if plan.composite:
            outside, self._within = self._within, plan.name
            try:
                with self:
                    return twins.unguarded(func)(*args, **kwargs)
            finally:
                self._within = outside
        # What we ask of tensors here no other mode of the program, and no subclass, may hear.
        with torch._C.DisableTorchFunction():
            given: list[torch.Tensor] = []
            told: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
            told = [
                (place, asked.plain(value)) for place, value in told if not asked.sort(value, given)
            ]
            versions = list(map(self._origins.version, given))
            links = tuple(map(self._origins.link, given, versions))
            shapes = tuple([shape(tensor) for tensor in given])
            draw = None if plan.random is False else draws.begin(given, kwargs)
        outer, self._given = self._given, given
        if self._bytes:
            self._settle()
        try:
            output = func(*args, **kwargs)
        except Exception as error:
            self._fail(plan, shapes, error)
            raise
        finally:
            self._given = outer
        with torch._C.DisableTorchFunction():
            made = [output] if isinstance(output, torch.Tensor) else trees.tensors(output)
            if not made and plan.inplace:
                made = given[:1]
            if made:
                self._hear(plan, tuple(told), given, links, shapes, versions, made,
                           None if draw is None else draws.end(draw))  # fmt: skip
        return output

    def _hear(
        self, plan: names.Plan, told: tuple[tuple[int | str, Any], ...],
        given: Sequence[torch.Tensor], links: tuple[Link, ...],
        shapes: tuple[tuple[int, ...], ...], versions: Sequence[int], made: list[torch.Tensor],
        draw: draws.Draw | None, opaque: str = "",
    ) -> None:  # fmt: skip
        index, entry = len(self.heard), self._stack[-1] if self._stack else self._root
        first = made[0]
        source = asked.source(plan, given, first)
        same = wrote = False
        if source is not None and (same := given[source] is first):
            # Tensors of inference mode do not count what is written to them.
            wrote = (versions[source] != first._version if not first.is_inference()
                     else asked.is_inplace(plan, told))  # fmt: skip
        view = source is not None and not wrote
        owner = index if source is None else self._owner(links[source])
        self._owners.append(owner)
        spot = places.nearer(places.spot(sys._getframe(2), _CALL), entry.spot)
        held = tuple([self._held(tensor, view=view and not same) for tensor in made])
        self.heard.append(Heard(
            plan, told, entry, entry.module.training, links, shapes, held, spot, view,
            0 if view or wrote else sum(map(asked.storage_bytes, made, held)), draw,
            self._bytes, opaque,
            "no_grad" if self._graph and asked.cuts(given, first) else "", within=self._within,
        ))  # fmt: skip
        if self._bytes is not None:
            self._bytes = 0
            self._alive.clear()
        if self._examine is not None:
            self._examine(self.heard[-1], given, made, index)
        link = Link(source="op", name=plan.name, index=index)
        if wrote:
            self._origins.wrote(first, link)
        for output, tensor in enumerate(made):
            if source is None and not opaque:
                self._origins.fresh(tensor)
            self._origins.stamp(tensor, link)
            if self._wants_gradients and tensor.grad_fn is not None:
                self._keep_gradient(tensor, index, output)

    def _spot(self, frame: FrameType) -> places.Spot | None:
        entry = self._stack[-1] if self._stack else self._root
        return places.nearer(places.spot(frame, _CALL), entry.spot)

    def _keep_gradient(self, tensor: torch.Tensor, op: int, output: int) -> None:
        # Not the tracer: the graph outlives it.
        which, kept, row, rows = tensor.output_nr, self.gradients, self._shown, self.rows
        values = self.values

        def keep(gradients: tuple[torch.Tensor | None, ...]) -> None:
            gradient = gradients[which]
            if gradient is not None:
                with torch._C.DisableTorchFunction():
                    kept[op, output] = hold(gradient, row, rows=rows, values=values)

        assert tensor.grad_fn is not None
        # On the node, not on the tensor: a tensor's own hooks would be seen by who copies it.
        tensor.grad_fn.register_prehook(keep)

    def _fail(
        self, plan: names.Plan, shapes: tuple[tuple[int, ...], ...], error: Exception
    ) -> None:  # fmt: skip
        entry, spot = self._stack[-1] if self._stack else self._root, self._spot(sys._getframe(2))
        called = spot and spot.place()
        self._raised = error, Failed(plan.name, entry.path, entry.kind, shapes, called)

    def _enter(self, module: nn.Module, args: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        known = self._paths.get(id(module))
        if known is None:
            self._meet(module)
            known = self._paths[id(module)]
        _, call = self._calls.get(id(module), (module, 0))
        self._calls[id(module)] = (module, call + 1)
        spot = self._root.spot
        if self._stack:
            # This hook lies inside the call of the module: its line is outside of that.
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code is not _CALL:
                frame = frame.f_back
            outside = frame and frame.f_back
            spot = places.nearer(places.spot(outside, _CALL), self._stack[-1].spot)
        self._stack.append(Entry(*known, module, call, spot))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        stack = self._stack
        # Modules of other threads were never entered, nor were those that raised on the way in.
        if threading.get_ident() != self._thread:
            return
        if not stack or stack[-1].module is not module:
            if not any(entry.module is module for entry in stack):
                return
            while stack[-1].module is not module:
                stack.pop()
        if output is not None:
            self._look_at(output, args)
        stack.pop()

    def _look_at(self, output: Any, args: Any) -> None:
        """Hear a module as a whole where its output comes from nothing that was heard."""
        if isinstance(output, torch.Tensor) and self._origins.known(output) is not None:
            return
        with torch._C.DisableTorchFunction():
            version, link = self._origins.version, self._origins.link
            made = [t for t in trees.tensors(output) if link(t, version(t)).source == "unseen"]
            if made:
                given = trees.tensors(args)
                versions = list(map(version, given))
                module = self._stack[-1].module
                scripted = isinstance(module, torch.jit.ScriptModule)
                self._hear(
                    names.plan(_forward), (), given, tuple(map(link, given, versions)),
                    tuple(map(shape, given)), versions, made, None,
                    "TorchScript" if scripted else "computed outside of PyTorch's functions",
                )  # fmt: skip

    def _held(self, tensor: torch.Tensor, *, view: bool) -> Held:
        if view and tensor.numel() > _SMALL:
            return Held(shape(tensor), tensor.dtype, tensor.device)
        return hold(tensor, self._shown, rows=self.rows, values=self.values, room=self._room)

    def _adopt(self, path: str, module: nn.Module) -> None:
        """Name the tensors that are a module's own; one that is shared has its first name."""
        self._paths[id(module)] = path, kind(module)
        head = f"{path}." if path else ""
        for source, tensors in (("parameter", module._parameters), ("buffer", module._buffers)):
            for name, tensor in tensors.items():
                if tensor is not None and self._origins.known(tensor) is None:
                    self._origins.stamp(tensor, Link(source=source, name=head + name))

    def _meet(self, module: nn.Module) -> None:
        """Name a module that the root has not registered, by where it is kept."""
        with torch._C.DisableTorchFunction():
            if self._kept is None:
                self._kept = strangers.paths(self._root.module)
            path = self._kept.get(id(module), f"(not registered) {kind(module)}")
            self.strangers[path] = module
            self._adopt(path, module)

    def _owner(self, link: Link) -> int | Link:
        return link if link.index is None else self._owners[link.index]

    def _pack(self, tensor: torch.Tensor) -> None:
        """Count what autograd would keep, once for each storage; nothing is kept."""
        assert self._bytes is not None
        with torch._C.DisableTorchFunction():
            place = storages.place(tensor)
            owner: int | Link = len(self.heard)
            for given in (tensor, *self._given):
                link = self._origins.known(given)
                if link is not None and storages.place(given) == place:
                    owner = self._owner(link)
                    break
            if isinstance(owner, Link) and owner.source in ("parameter", "buffer"):
                return
            if (owner, place) not in self._saved:
                self._saved.add((owner, place))
                self._bytes += storages.allocated(tensor)
                # While the op runs: nothing else may get the place of what autograd would keep.
                with suppress(NotImplementedError):
                    self._alive.append(tensor.untyped_storage())

    def _unpack(self, nothing: None) -> Any:
        self._needed = True
        raise Needed

    def _settle(self) -> None:
        """Add what was kept outside of all ops to the op before."""
        if self._bytes and self.heard:
            last = self.heard[-1]
            self.heard[-1] = last._replace(saved=(last.saved or 0) + self._bytes)
            self._bytes = 0
        self._alive.clear()


def _forward() -> None:
    """Be the function of a module that is heard as a whole."""


_forward.__name__ = "forward"
