"""From what a loss function received to loss and accuracy, and how that came from the output."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy
import torch
from torch import nn

from pipetrace.capture import trees
from pipetrace.capture.guard import identical
from pipetrace.capture.quiet import unheard
from pipetrace.training.signals import original
from pipetrace.training.weights import by_class, weight

_CLASSES = {"cross_entropy", "nll_loss", "multi_margin_loss"}
_BINARY = {
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss",
    "multilabel_soft_margin_loss",
}  # fmt: skip
_VALUES = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}
LARGE = 1 << 16
"""Batches of more numbers than this are scored on evenly spread targets only."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_STORAGE = 1 << 16
"""Bytes that a small tensor may keep alive: a thousand steps may wait to be added up."""


class LossCall(msgspec.Struct):
    """One call of a loss function, without its graph."""

    name: str
    input: torch.Tensor
    target: torch.Tensor
    options: dict[str, Any]
    """Its other arguments by name."""
    value: torch.Tensor
    """The mean loss: of several losses their mean, and of a sum what `weight` makes of it."""
    versions: tuple[int, int]
    rows: int
    counted: torch.Tensor | int | None = None
    """What `value` is the mean over, where that is known already."""
    shared: bool = False
    """Whether `input` or `target` is a view, maybe of a large tensor that it keeps alive."""
    whole: int = 0
    """How many numbers `input` had, where it has them no more."""
    sampled: bool = False
    """Only evenly spread targets are left."""
    digest: torch.Tensor | None = None
    """What `metrics` needs of each target, instead of `input` and `target`."""

    def unchanged(self) -> bool:
        """Tell whether nobody has written into the input or the target since."""
        return self.versions == (_version(self.input), _version(self.target))

    def weight(self) -> torch.Tensor | int:
        """Return what `value` is the mean over: targets, or the class weight that they have."""
        if self.counted is not None:
            return self.counted
        return weight(self.name, self.input, self.target, self.options)


def task(name: str) -> str:
    """Return `classes`, `binary`, `values`, or nothing for a loss function that tells none."""
    for kind, names in (("classes", _CLASSES), ("binary", _BINARY), ("values", _VALUES)):
        if name in names:
            return kind
    return ""


def loss_call(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> LossCall | None:
    """Keep what a loss function received; None where it was not given two tensors."""
    options = kwargs
    if len(args) == 2:
        prediction, target = args
    else:
        options = dict(kwargs)
        prediction = args[0] if args else options.pop("input", None)
        target = args[1] if len(args) > 1 else options.pop("target", None)
        options.update(zip(_names(name)[2:], args[2:], strict=False))
    shared = getattr(prediction, "_base", None) is not None
    shared = shared or getattr(target, "_base", None) is not None
    prediction, target, value = plain(prediction), plain(target), plain(result)
    if prediction is None or target is None or value is None or not prediction.shape:
        return None
    counted = None
    if value.dim() or options.get("reduction") == "sum":
        value, counted = _mean(name, prediction, target, options, value)
    try:
        versions = (prediction._version, target._version)
    except RuntimeError:  # made in inference mode: nobody counts
        versions = (_version(prediction), _version(target))
    return LossCall(name, prediction, target, options, value, versions, prediction.shape[0],
                    counted, shared)  # fmt: skip


def plain(tensor: Any) -> torch.Tensor | None:
    """Return a tensor without its graph and without its subclass.

    None stands for what has no numbers of its own to read: a compiler's stand-in, or a part of a
    tensor that lies on several machines.
    """
    if type(tensor) is torch.Tensor:
        return tensor.detach() if tensor.requires_grad else tensor
    if not isinstance(tensor, torch.Tensor):
        return None
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return None
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.detach().as_subclass(torch.Tensor)


def thinned(call: LossCall, most: int = LARGE) -> LossCall:
    """Return a call that holds little memory: evenly spread targets of one with more numbers."""
    prediction, target = call.input, call.target
    if prediction.numel() > most:
        call = msgspec.structs.replace(
            call, counted=call.weight(), whole=prediction.numel(), sampled=True
        )
        prediction, target = _spread(prediction, target, most)
    elif call.shared:
        prediction, target = _alone(prediction), _alone(target)
    if prediction is call.input and target is call.target:
        return call
    return msgspec.structs.replace(
        call, input=prediction, target=target, versions=(_version(prediction), _version(target))
    )  # fmt: skip


def apply(call: LossCall, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Call the same loss function with the same options on other tensors; return the mean."""
    with unheard():
        result: torch.Tensor = original(call.name)(prediction, target, **call.options)
    return _mean(call.name, prediction, target, call.options, result)[0]


def _mean(
    name: str, prediction: torch.Tensor, target: torch.Tensor, options: dict[str, Any],
    result: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | int | None]:  # fmt: skip
    """Return the mean loss, and over what where `result` was none.

    A sum is divided by the targets that count where targets are classes, else by the rows, as
    nearly every program then does.
    """
    if result.dim():
        return result.mean(), result.numel()
    if options.get("reduction") != "sum":
        return result, None
    rows = prediction.shape[0]
    counted = weight(name, prediction, target, options) if by_class(name, target) else rows
    return result / counted, counted


def _spread(
    prediction: torch.Tensor, target: torch.Tensor, numbers: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Copy what belongs to evenly spread positions: of rows, and of all dimensions from 2 on."""
    if prediction.shape[:1] != target.shape[:1]:
        return prediction[:0].clone(), target[:0].clone()
    sizes = (prediction.shape[0], *prediction.shape[2:])
    count = math.prod(sizes)
    most = max(1, numbers * count // prediction.numel())
    first, *others = torch.unravel_index(_even(count, most, prediction.device), sizes)
    if not others:
        return prediction[first], target[first]
    every: tuple[Any, ...] = (first, slice(None), *others)
    whole = target.dim() == prediction.dim()
    return prediction[every], target[every if whole else (first, *others)]


@functools.lru_cache(8)
def _even(count: int, most: int, device: torch.device) -> torch.Tensor:
    """Choose indices below `count`, one in each of `most` equal parts, in step with no period."""
    parts = numpy.arange(most)
    places = (parts + parts * _GOLDEN % 1) * (count / most)
    return torch.from_numpy(numpy.unique(places.astype(numpy.int64))).to(device)


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """Copy what is a small part of a large storage: it would keep all of that alive."""
    if tensor.layout is not torch.strided or tensor.untyped_storage().nbytes() <= _STORAGE:
        return tensor
    return tensor.clone() if tensor.untyped_storage().nbytes() > 8 * tensor.nbytes else tensor


@functools.cache
def _names(name: str) -> tuple[str, ...]:
    return tuple(inspect.signature(original(name)).parameters)


def correct(call: LossCall) -> tuple[int, int] | None:
    """Return how many predictions of a call are right, and of how many; None for no such thing."""
    if call.digest is not None:
        return _matches(call.digest[0], call.digest[1], -1)
    return count(call.name, call.input, call.target, call.options.get("ignore_index", -100))


def count(
    name: str, prediction: torch.Tensor, target: torch.Tensor, ignore: int = -100
) -> tuple[int, int] | None:  # fmt: skip
    """Count right predictions.

    Args:
        name: The loss function's name; it tells what the numbers mean.
        prediction: Logits or log-probabilities, classes in dimension 1; or binary logits.
        target: Class indices, class probabilities, or 0 and 1.
        ignore: The class index that does not count.

    Returns:
        Right and counted predictions, or None where accuracy has no meaning.
    """
    kind = task(name)
    if kind == "classes" and prediction.dim() >= 1:
        dim = 1 if prediction.dim() > 1 else 0
        chosen = prediction.argmax(dim)
        truth = target.argmax(dim) if target.is_floating_point() else target
        if truth.shape != chosen.shape:
            return None
        return _matches(chosen, truth, None if target.is_floating_point() else ignore)
    if kind == "binary" and prediction.shape == target.shape:
        edge = 0.5 if name == "binary_cross_entropy" else 0.0
        truth = target > (0.0 if name == "soft_margin_loss" else 0.5)
        return int(((prediction > edge) == truth).sum()), target.numel()
    return None


def _matches(chosen: torch.Tensor, truth: torch.Tensor, ignore: int | None) -> tuple[int, int]:
    right = chosen == truth
    if ignore is None:
        return int(right.sum()), truth.numel()
    counted = truth != ignore
    if ignore >= 0:
        right &= counted
    sums = [right.sum(), counted.sum()]
    if chosen.is_cpu:
        return int(sums[0]), int(sums[1])
    both = torch.stack(sums).tolist()
    return int(both[0]), int(both[1])


class Pairing(NamedTuple):
    """How the loss function's input was made from the model's output, found by trying."""

    words: str
    path: int
    """Which tensor of the output."""
    make: Callable[[torch.Tensor], torch.Tensor]

    def of(self, output: Any) -> torch.Tensor:
        """Make the loss function's input from another output."""
        return self.make([tensor for _, tensor in trees.leaves(output)][self.path])


def pair(output: Any, call: LossCall) -> Pairing | None:
    """Find how `call`'s input was made from `output`.

    The same storage seen with other sizes and strides is tried first, then a few functions whose
    results are compared bit for bit.
    """
    tensors = [tensor.detach() for _, tensor in trees.leaves(output)]
    wanted = call.input
    if wanted.is_nested or any(tensor.is_nested for tensor in tensors):
        return None
    for index, tensor in enumerate(tensors):
        alike = tensor.shape == wanted.shape and tensor.stride() == wanted.stride()
        if alike and tensor.data_ptr() == wanted.data_ptr():
            return Pairing("as it is", index, lambda t: t)
    for index, tensor in enumerate(tensors):
        for words, make in _candidates(wanted.shape):
            try:
                if identical(make(tensor), wanted):
                    return Pairing(words, index, make)
            except (RuntimeError, IndexError, TypeError):
                continue
    return None


def _candidates(
    shape: torch.Size,
) -> list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]]:
    # The first size is left open: another batch may have other rows.
    rest = tuple(shape[1:])
    return [
        ("reshaped", lambda t: t.reshape(-1, *rest)),
        ("transposed", lambda t: t.transpose(1, 2)),
        ("all but the last position, reshaped", lambda t: t[..., :-1, :].reshape(-1, *rest)),
        ("log-softmax", lambda t: nn.functional.log_softmax(t, dim=1)),
        ("log-softmax, last", lambda t: nn.functional.log_softmax(t, dim=-1)),
        ("softmax", lambda t: t.softmax(1)),
        ("log of softmax", lambda t: t.softmax(1).log()),
        ("sigmoid", lambda t: t.sigmoid()),
        ("sigmoid, reshaped", lambda t: t.sigmoid().reshape(-1, *rest)),
        ("float", lambda t: t.float()),
        ("manual softmax, then log", lambda t: _softmax(t).log()),
        ("manual stable softmax, then log", lambda t: _softmax(t - t.amax(1, keepdim=True)).log()),
    ]


def _softmax(tensor: torch.Tensor) -> torch.Tensor:
    powers = tensor.exp()
    return powers / powers.sum(1, keepdim=True)


def _version(tensor: torch.Tensor) -> int:
    try:
        return tensor._version
    except RuntimeError:  # made in inference mode: nobody counts
        return 0
