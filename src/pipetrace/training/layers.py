"""One optimizer step is measured layer by layer: gradients and weights before it, its change."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipetrace.capture.guard import cuda_in_use
from pipetrace.parts import Layer
from pipetrace.training.tallies import read

COPIED = 64_000_000
"""Elements of parameters that are copied at most while a step is measured."""
_WHOLE = 65_536
"""Parameters up to this size are always copied whole."""
_BLOCK = 1024


class _Own(NamedTuple):
    """A parameter, and the module that it is counted with."""

    layer: int
    parameter: torch.Tensor


class Gauge:
    """Measures a step of a model, in parts where several optimizers share its parameters.

    What is measured stays on its device until `layers` is asked: a step that is measured, and
    replaced by a later one, never waits for the device.

    Args:
        model: The user's own module.
    """

    def __init__(self, model: nn.Module) -> None:
        self.step = 0
        """The epoch's step that was measured last."""
        self.exact = True
        named = [] if sharded(model) else model.named_modules()
        self._modules = [
            (path, module) for path, module in named if any(True for _ in _own(module))
        ]
        self._owned = list(_owned(self._modules))
        self._open: list[_Own] = []
        self._before: list[torch.Tensor] = []
        self._share = 1.0
        self._late = self._counted = True
        self._scale: torch.Tensor | None = None
        self._found: dict[tuple[int, str], list[tuple[torch.Tensor, float]]] = {}
        self._skipped: list[torch.Tensor] = []
        self._done: set[int] = set()

    def before_step(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """Keep what the step will change.

        Args:
            optimizer: The one that is about to step.
            closure: Whether it computes the gradients itself, by a closure.
        """
        if self._open:  # a step that raised never ended
            self._open, self._found, self._done = [], {}, set()
        if not _quiet():
            return
        groups = optimizer.param_groups
        mine = {id(parameter) for group in groups for parameter in group["params"]}
        self._open = [own for own in self._owned if id(own.parameter) in mine - self._done]
        if not self._open or any(foreign(own.parameter) for own in self._open):
            self._open = []
            return
        # Several closures in one step have a gradient each, and none is the step's.
        self._counted = not isinstance(optimizer, torch.optim.LBFGS)
        self._late = closure
        # A fused optimizer takes the scale of mixed precision out of the gradients itself, and
        # leaves the step out where they are not finite.
        self._scale = getattr(optimizer, "grad_scale", None)
        skipped = getattr(optimizer, "found_inf", None)
        self._skipped += [] if skipped is None else [skipped.detach().clone()]
        with torch.no_grad():
            parameters = [own.parameter.detach() for own in self._open]
            norms = _norms(parameters)
            self._keep("weight", norms)
            if not closure:
                self._keep_gradients()
            count = sum(parameter.numel() for parameter in parameters)
            self._share = min(1.0, COPIED / max(1, count))
            self._before = [sample(parameter, self._share).clone() for parameter in parameters]
            if self._share < 1:
                self.exact, norms = False, _norms(self._before)
            self._keep("base", norms)

    def after_step(self, step: int) -> None:
        """Take the change.

        Args:
            step: Which step of the epoch this was, from 1.
        """
        if not self._open:
            return
        with torch.no_grad():
            if self._late and self._counted:
                self._keep_gradients()
            now = [sample(own.parameter.detach(), self._share) for own in self._open]
            torch._foreach_sub_(self._before, now)
            self._keep("change", _norms(self._before))
        self._done |= {id(own.parameter) for own in self._open}
        self._open, self._before, self._scale = [], [], None
        self.step = step

    def layers(self) -> tuple[Layer, ...]:
        """Read what was measured, with one transfer; nothing where no step was, or was left out."""
        self._open, self._before = [], []
        kept = [pair for pairs in self._found.values() for pair in pairs]
        if not self.step or not kept:
            return ()
        skipped = len(self._skipped)
        numbers = read([*self._skipped, *(norm for norm, _ in kept)])
        if any(numbers[:skipped]):
            return ()
        values = iter(numbers[skipped:])
        norms = {
            key: math.hypot(*(next(values) * math.sqrt(scale) for _, scale in pairs))
            for key, pairs in self._found.items()
        }
        counts = [0] * len(self._modules)
        for own in self._owned:
            counts[own.layer] += own.parameter.numel()
        layers = []
        for index, (path, module) in enumerate(self._modules):
            base, change = norms.get((index, "base")), norms.get((index, "change"))
            layers.append(
                Layer(
                    path=path, type=type(module).__name__, parameters=counts[index],
                    gradient=norms.get((index, "gradient")), weight=norms.get((index, "weight")),
                    update=change / base if base and change is not None else None,
                )
            )  # fmt: skip
        return tuple(layer for layer in layers if layer.parameters)

    def _keep_gradients(self) -> None:
        present = [own for own in self._open if own.parameter.grad is not None]
        norms = _norms([_values(own.parameter.grad) for own in present])
        for own, norm in zip(present, norms, strict=True):
            value = norm if self._scale is None else norm / self._scale.to(norm.device)
            self._found.setdefault((own.layer, "gradient"), []).append((value, 1.0))

    def _keep(self, kind: str, norms: list[torch.Tensor]) -> None:
        for own, before, norm in zip(self._open, self._before or norms, norms, strict=True):
            scale = 1.0 if kind == "weight" else own.parameter.numel() / max(1, before.numel())
            self._found.setdefault((own.layer, kind), []).append((norm, scale))


def gradient_norm(model: nn.Module | None) -> float | None:
    """Return the L2 norm of all gradients that are there; None where there are none, or all 0."""
    parameters = [] if model is None else list(model.parameters())
    grads = [_values(p.grad) for p in parameters if p.grad is not None]
    if not grads or any(map(foreign, parameters)):
        return None
    return math.hypot(*read(_norms(grads))) or None


def total(layers: Sequence[Layer]) -> float | None:
    """Return the L2 norm of all gradients from those of the layers."""
    found = [layer.gradient for layer in layers if layer.gradient is not None]
    return math.hypot(*found) if found else None


def sample(tensor: torch.Tensor, share: float) -> torch.Tensor:
    """Return evenly spread blocks of a tensor, as a view.

    >>> sample(torch.arange(8.0), 1.0).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    >>> sample(torch.zeros(1000, 200), 0.25).numel()
    50176
    """
    count = tensor.numel()
    if share >= 1 or count <= _WHOLE:
        return tensor
    # Memory is walked in its own order, whatever the order of the dimensions is.
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    flat = tensor.permute(order)
    if not flat.is_contiguous():
        return tensor
    flat = flat.view(-1)
    blocks = max(1, round(count * share / _BLOCK))
    width = count // blocks
    return flat[: blocks * width].view(blocks, width)[:, : min(_BLOCK, width)]


def _own(module: nn.Module) -> Iterator[torch.Tensor]:
    return (p for p in module._parameters.values() if p is not None)


def _owned(modules: Sequence[tuple[str, nn.Module]]) -> Iterator[_Own]:
    seen: set[int] = set()
    for index, (_, module) in enumerate(modules):
        for parameter in _own(module):
            if id(parameter) not in seen and not strange(parameter):
                seen.add(id(parameter))
                yield _Own(index, parameter)


def strange(parameter: torch.Tensor) -> bool:
    """Tell parameters without values that a norm could be taken of."""
    plain = parameter.is_floating_point() or parameter.is_complex()
    return is_lazy(parameter) or not plain or parameter.is_meta or parameter.layout != torch.strided


def foreign(parameter: torch.Tensor) -> bool:
    """Tell parameters that are spread over processes, or whose arithmetic is their own.

    A norm of them could wait for the other processes.
    """
    own: Any = type(parameter).__torch_dispatch__
    return own is not torch.Tensor.__torch_dispatch__


def sharded(model: nn.Module) -> bool:
    """Tell a model whose parameters are shards that look like whole ones."""
    parallel = sys.modules.get("torch.distributed.fsdp")
    kind = getattr(parallel, "FullyShardedDataParallel", ())
    return any(isinstance(module, kind) for module in model.modules())


def _quiet() -> bool:
    """Tell whether anything that runs now would be compiled, or captured in a graph of CUDA."""
    if torch.compiler.is_compiling():
        return False
    return not (cuda_in_use() and torch.cuda.is_current_stream_capturing())


def _values(grad: Any) -> torch.Tensor:
    found: torch.Tensor = grad.detach()
    if found.layout == torch.sparse_coo:
        return found.coalesce().values()
    return found if found.layout == torch.strided else found.to_dense()


def _norms(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the L2 norm of each; those of half precision are added up in 32 bits."""
    if all(t.dtype in (torch.float32, torch.float64) for t in tensors):
        return list(torch._foreach_norm(tensors)) if tensors else []
    halves = (torch.float16, torch.bfloat16)
    return [
        torch.linalg.vector_norm(t, dtype=torch.float32 if t.dtype in halves else None)
        for t in tensors
    ]
