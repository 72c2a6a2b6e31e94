"""One op of a forward is called with another rate and mode than the program would call it with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from pipetrace.capture import draws, names, trees
from pipetrace.capture.altered import Altered, Change, Spot

DROPPING = {
    "dropout", "dropout_", "native_dropout", "dropout1d", "dropout2d", "dropout3d",
    "feature_dropout", "feature_dropout_",
}  # fmt: skip
"""Functions that set elements or channels to 0 and multiply the others by one number."""
_WHOLE = {"dropout1d": 2, "dropout2d": 0, "dropout3d": 4, "feature_dropout": 0,
          "feature_dropout_": 0}  # fmt: skip
"""Those that drop channels, with the number of dimensions of an input without a batch."""
_MODES = ("training", "train")
_RATES = ("p", "dropout_p")


def by_channel(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return the first element of each channel, for a function that drops channels whole.

    Args:
        name: The function's; of one that drops elements all of them are returned.
        tensor: What it took, or a tensor of that shape.

    >>> x = torch.arange(12).reshape(1, 2, 3, 2)
    >>> by_channel("dropout2d", x).tolist(), by_channel("dropout", x).shape == x.shape
    ([[0, 6]], True)
    >>> by_channel("dropout1d", x[0, :, :, 0]).tolist()
    [0, 6]
    """
    if name not in _WHOLE or not tensor.numel():
        return tensor
    kept = 1 if tensor.dim() == _WHOLE[name] else 2
    while tensor.dim() > kept:
        tensor = tensor[..., 0]
    return tensor


class Switched(Altered):
    """Calls one op with another rate and mode, and keeps what it took, gave and dropped.

    Args:
        target: The op.
        p: The probability of being dropped; None for the one it is called with.
        training: Whether it drops; None for what it is called with.
        following: Another op, whose output is kept too.

    Attributes:
        rate: The probability that the program itself gave; None where that is no number.
        entered: What the op took; where it drops channels, the first element of each.
        kept: Which of these it kept, where it dropped at random.
        each: How many elements of what it took one of these stands for.
        scale: What those kept were multiplied with; 0 where there were none.
        made: What the op that follows gave.
    """

    def __init__(
        self, target: Spot, p: float | None = None, training: bool | None = None,
        *, following: Spot | None = None,
    ) -> None:  # fmt: skip
        changes: dict[Spot, Change] = {} if following is None else {following: self._follow}
        super().__init__(changes | {target: self._chosen})
        self._target, self._p, self._training = target, p, training
        self.rate: float | None = None
        self.entered: torch.Tensor | None = None
        self.kept: torch.Tensor | None = None
        self.each = 1
        self.scale = 1.0
        self.made: torch.Tensor | None = None

    @property
    def called(self) -> bool:
        """Whether the op was reached."""
        return self._target in self.reached

    def _follow(
        self, plan: names.Plan, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        output = func(*args, **kwargs)
        made = trees.tensors([output]) or (plan.inplace and trees.tensors(args)[:1])
        if made:
            with torch._C.DisableTorchFunction():
                self.made = made[0].detach().clone()
        return output

    def _chosen(
        self, plan: names.Plan, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        given = trees.tensors(args) or trees.tensors(kwargs)
        rate = _argument(plan, args, kwargs, _RATES)
        self.rate = float(rate) if isinstance(rate, (int, float)) else None
        p = self.rate if self._p is None else self._p
        args, kwargs = turned(plan, args, kwargs, self._p, self._training)
        drops = bool(_argument(plan, args, kwargs, _MODES)) and plan.name in DROPPING
        with torch._C.DisableTorchFunction():
            # A copy: the op may write into what it takes.
            if given:
                self.entered = by_channel(plan.name, given[0].detach()).clone()
                self.each = given[0].numel() // max(1, self.entered.numel())
        if not drops or p is None:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            form, begun = draws.form(given[0]), draws.begin(given[:1], {})
        output = func(*args, **kwargs)
        with torch._C.DisableTorchFunction(), torch.no_grad():
            with draws.drawing(draws.end(begun)):
                ones = plan.function(form.filled(1, given[0].device), p, True)
            # native_dropout gives its mask too.
            ones = ones[0] if isinstance(ones, tuple) else ones
            ones = by_channel(plan.name, ones)
            self.kept = ones != 0
            self.scale = float(ones[self.kept][0]) if bool(self.kept.any()) else 0.0
        return output


def _argument(
    plan: names.Plan, args: Sequence[Any], kwargs: dict[str, Any], among: Sequence[str]
) -> Any:
    """Return the argument that has one of these names; where none was given, its default."""
    for name in among:
        if name in kwargs:
            return kwargs[name]
        if name in plan.positions:
            place = plan.positions.index(name)
            if place < len(args):
                return args[place]
            if inspect.isfunction(plan.function):
                return inspect.signature(plan.function).parameters[name].default
    return 0.0 if plan.name == "scaled_dot_product_attention" and "dropout_p" in among else None


def turned(
    plan: names.Plan, args: tuple[Any, ...], kwargs: dict[str, Any], p: float | None,
    training: bool | None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """Return arguments with another rate and mode, where the function has them."""
    wanted = [(_RATES, p), (_MODES, training)]
    if plan.name == "scaled_dot_product_attention":
        # It has no mode: without dropping its rate is 0.
        wanted = [(_RATES, 0.0 if training is False else p)]
    for among, value in wanted:
        for name in among if value is not None else ():
            if name in plan.positions and (place := plan.positions.index(name)) < len(args):
                args = (*args[:place], value, *args[place + 1 :])
            elif name in kwargs or name in plan.positions:
                kwargs = {**kwargs, name: value}
    return args, kwargs
