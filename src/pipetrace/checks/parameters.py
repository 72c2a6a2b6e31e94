"""Parameters in words: which module has them, how many numbers they are, how they look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set
from math import prod

from pipetrace.observed import Wired
from pipetrace.records import Op

FRESH = 0.01
"""From this p-value on a matrix looks as PyTorch's layers begin."""


def module(weight: Wired) -> str:
    """Return the path of the module that has a parameter."""
    return weight.path.rpartition(".")[0]


def by_module(weights: Iterable[Wired]) -> dict[str, list[Wired]]:
    """Return parameters by the paths of their modules."""
    found: dict[str, list[Wired]] = defaultdict(list)
    for weight in weights:
        found[module(weight)].append(weight)
    return found


def above(weights: Iterable[Wired]) -> str:
    """Return the path of the innermost module that has all of these parameters."""
    shared: list[str] = []
    for names in zip(*(module(weight).split(".") for weight in weights), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)


def named(weights: Iterable[Wired]) -> str:
    """Name the module that has all of these parameters, or what has them one by one."""
    weights = list(weights)
    within = above(weights)
    names = [within] if within else list(by_module(weights))
    told = [f"`{name or weights[0].path}`" for name in names[:3]]
    more = f" ({len(names)} modules)" if len(names) > 3 else ""
    return " and ".join(told) + more


def numbers(weights: Iterable[Wired]) -> int:
    """Return how many numbers parameters consist of."""
    return sum(prod(weight.shape) for weight in weights)


def counted(weights: list[Wired]) -> str:
    """Say how many parameters these are."""
    noun = "parameter" if len(weights) == 1 else "parameters"
    return f"{len(weights)} {noun} ({numbers(weights):,} numbers)"


def takes(op: Op, paths: Set[str]) -> bool:
    """Tell whether an op takes one of these parameters."""
    return any(link.source == "parameter" and link.name in paths for link in op.inputs)


def trained_before(weights: Iterable[Wired]) -> bool:
    """Tell whether no matrix among parameters that did not move looks as if it had been drawn."""
    known = [weight.drawn for weight in weights if weight.drawn is not None]
    return bool(known) and max(known) < FRESH
