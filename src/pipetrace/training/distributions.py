"""How weights and activations are distributed: counted in equal intervals, of a spread sample."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from pipetrace.capture import trees
from pipetrace.capture.handlers import pass_on
from pipetrace.records import Histograms, Op, Spectrum
from pipetrace.training.layers import foreign, sample, sharded, strange

MOST = 24
"""So many parameters and so many modules are looked at."""
BINS = 24
_COUNTED = 65_536
_EACH = 40
"""So many moments of a training are all stated, then those that are a tenth later than the last."""


def parameters(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Choose the parameters to look at: of many no vectors, of more an even choice.

    >>> [path for path, _ in parameters(nn.Linear(2, 3))]
    ['weight', 'bias']
    """
    if sharded(model):
        return []
    found = [
        (path, parameter)
        for path, parameter in model.named_parameters()
        if not strange(parameter) and not foreign(parameter) and not parameter.is_complex()
    ]
    if len(found) > MOST:
        found = [pair for pair in found if pair[1].dim() > 1] or found
    return even(found)


def modules(model: nn.Module, ops: Sequence[Op]) -> tuple[str, ...]:
    """Choose the modules without children whose outputs tell something with dropout off.

    Args:
        model: The root.
        ops: Of a forward of it: its modules in the order of their calls.
    """
    named = dict(model.named_modules(remove_duplicate=False))
    telling = dict.fromkeys(op.module for op in ops if not op.view and op.mask is None)
    leaves = [path for path in telling if path and path in named]
    return tuple(even([path for path in leaves if next(named[path].children(), None) is None]))


def even(found: list[Any], most: int = MOST) -> list[Any]:
    """Return an even choice, the first and the last in it.

    >>> even(list(range(10)), 4)
    [0, 3, 6, 9]
    """
    if len(found) <= most:
        return found
    return [found[round(index * (len(found) - 1) / (most - 1))] for index in range(most)]


class Listening:
    """Keeps a sample of what some modules give while a forward runs."""

    def __init__(self, model: nn.Module, paths: Sequence[str]) -> None:
        self._paths = {}
        for path in paths:
            with contextlib.suppress(AttributeError):
                self._paths[id(model.get_submodule(path))] = path
        self._kept: dict[str, tuple[torch.Tensor, int]] = {}

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Listen: by a hook of all modules, for one of their own would be the program's to see."""
        if not self._paths:
            yield
            return
        handle = register_module_forward_hook(self._hear)
        try:
            yield
        finally:
            handle.remove()

    def spectra(self) -> tuple[Spectrum, ...]:
        """Count what was kept, each module's last call."""
        found = (_spectrum(path, *kept) for path, kept in self._kept.items())
        return tuple(spectrum for spectrum in found if spectrum is not None)

    def _hear(self, module: nn.Module, args: Any, output: Any) -> None:
        path = self._paths.get(id(module))
        if path is None:
            return
        try:
            given = trees.first(output)
            if given is not None and _readable(given):
                with torch._C.DisableTorchFunction():
                    self._kept[path] = _sampled(given.detach()).clone(), given.numel()
        except Exception as error:  # the forward is not ours to end
            pass_on(error)


def spectra(model: nn.Module) -> tuple[Spectrum, ...]:
    """Count the weights of a model as they are now; nothing where they cannot be read."""
    try:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            found = [
                _spectrum(path, _sampled(parameter.detach()), parameter.numel())
                for path, parameter in parameters(model)
            ]
    except Exception as error:
        pass_on(error)
        return ()
    return tuple(spectrum for spectrum in found if spectrum is not None)


class Moments:
    """Chooses which of a training's histograms are stated: all at first, then fewer, the last."""

    def __init__(self) -> None:
        self._waiting: Histograms | None = None
        self._stated = self._last = 0

    def add(self, found: Histograms) -> list[Histograms]:
        """Return what is to be stated now: these, or nothing yet."""
        if self._stated >= _EACH and found.epoch < 1.1 * self._last:
            self._waiting = found
            return []
        self._waiting, self._last = None, found.epoch
        self._stated += 1
        return [found]

    def end(self) -> list[Histograms]:
        """Return what waits: the training is over, so it is the last."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [waiting]


def _readable(tensor: torch.Tensor) -> bool:
    plain = tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_meta
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return plain and not wrapped and tensor.is_floating_point() and not foreign(tensor)


def _sampled(tensor: torch.Tensor) -> torch.Tensor:
    found = sample(tensor, min(1.0, _COUNTED / max(1, tensor.numel())))
    # Elements that do not lie side by side were not sampled.
    step = -(-found.numel() // _COUNTED) if found.numel() > 2 * _COUNTED else 1
    return found if step == 1 else found.reshape(-1)[::step]


def _spectrum(path: str, kept: torch.Tensor, total: int) -> Spectrum | None:
    """Count finite numbers; where all are equal there is one interval."""
    wide = torch.float64 if kept.dtype == torch.float64 else torch.float32
    numbers = kept.reshape(-1).to("cpu", wide)
    if not numbers.numel():
        return None
    low, high = (edge.item() for edge in torch.aminmax(numbers))
    if not -torch.inf < low <= high < torch.inf:
        numbers = numbers[numbers.isfinite()]
        if not numbers.numel():
            return None
        low, high = (edge.item() for edge in torch.aminmax(numbers))
    if low == high:
        counts: tuple[int, ...] = (numbers.numel(),)
    else:
        counts = tuple(map(int, torch.histc(numbers, BINS, low, high).tolist()))
    return Spectrum(path=path, low=low, high=high, counts=counts, total=total)
