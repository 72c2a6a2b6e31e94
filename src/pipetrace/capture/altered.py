"""Some ops of a forward are made otherwise, found by their function and how many came before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode

from pipetrace.capture import names, trees, twins
from pipetrace.records import Op

Spot = tuple[str, int]
"""A function's name, and how many ops of that name a forward has before."""


def spot(ops: Sequence[Op], index: int) -> Spot:
    """Say where in a forward an op is, so that a function mode finds it again.

    Args:
        ops: The ops of one capture, in order.
        index: Which of them.

    >>> ops = [Op(capture=0, index=i, function=f) for i, f in enumerate(("relu", "add", "relu"))]
    >>> spot(ops, 2)
    ('relu', 1)
    """
    name = ops[index].function
    return name, sum(op.function == name and not op.opaque for op in ops[:index])


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
