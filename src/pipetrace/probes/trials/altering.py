"""Some ops of a forward are made otherwise, and two outputs are told apart by one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pipetrace.capture import names, replay, trees, twins
from pipetrace.capture.guard import Modes
from pipetrace.capture.switched import Spot

Change = Callable[[names.Plan, Callable[..., Any], Any, Any], Any]
"""Makes an op: is given its plan, the function, and its arguments by position and keyword."""


class Altered(TorchFunctionMode):
    """Makes some ops of a forward otherwise.

    Args:
        changes: What makes them, by where they are.

    Attributes:
        reached: The ops that were reached.
    """

    def __init__(self, changes: Mapping[Spot, Change]) -> None:
        super().__init__()
        self._changes = changes
        self._counts: Counter[str] = Counter()
        self.reached: set[Spot] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        kwargs = kwargs or {}
        plan = names.plan(func)
        if plan.silent:
            return func(*args, **kwargs)
        if plan.composite:
            with self:
                return twins.unguarded(func)(*args, **kwargs)
        here = plan.name, self._counts[plan.name]
        change = self._changes.get(here)
        if change is None:
            output = func(*args, **kwargs)
        else:
            self.reached.add(here)
            output = change(plan, func, args, kwargs)
        # Counted as the tracer counts: what gives no tensor is no op.
        if trees.tensors([output]) or (plan.inplace and trees.tensors(args)[:1]):
            self._counts[plan.name] += 1
        return output


def altered(
    call: replay.Call, changes: Mapping[Spot, Change], modes: Modes = None,
    *, seed: int | None = None,
) -> Any:  # fmt: skip
    """Play a forward with some ops made otherwise.

    Args:
        call: The forward.
        changes: What makes these ops.
        modes: The modes to play it in; None for those it was called in.
        seed: Decides other random numbers than those that the forward drew.

    Returns:
        Its output; None where one of these ops was not reached.
    """
    made = Altered(changes)
    output = replay.play(call, modes, seed=seed, around=lambda: made)
    return output if made.reached == set(changes) else None


def apart(one: Any, other: Any) -> float | None:
    """Return the L2 norm of the difference of two outputs, over that of the other.

    None where they have other shapes, or no numbers, or the other is all zeros.
    """
    pairs = flat(one), flat(other)
    if pairs[0] is None or pairs[1] is None or pairs[0].shape != pairs[1].shape:
        return None
    size = float(pairs[1].norm())
    gap = float((pairs[0] - pairs[1]).norm())
    return gap / size if size > 0 and gap == gap else None


def flat(output: Any) -> torch.Tensor | None:
    """Return all floating numbers of an output in one vector, None where there are none."""
    found = [
        tensor.detach().reshape(-1).double()
        for tensor in trees.tensors([output])
        if tensor.is_floating_point() and tensor.layout is torch.strided and not tensor.is_nested
    ]
    return torch.cat(found) if found and sum(map(len, found)) else None
