"""Modules that are trained beside each other and stay equal are one module, several times."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pipetrace.observed import Copies
from pipetrace.observing.witness import Made, Witness
from pipetrace.records import Fact
from pipetrace.training.captures import Root

_MODULES = 4096
"""Modules of a program that are compared, the first."""
_SAMPLE = 8


class _Stepped:
    """A parameter that an optimizer has stepped, as its last step left it."""

    __slots__ = ("ref", "steps", "version")

    def __init__(self, parameter: torch.Tensor) -> None:
        self.ref, self.steps, self.version = weakref.ref(parameter), 0, 0


class Copying(Witness):
    """The witness of copies.

    What somebody else writes into a parameter after its last step, an average of clients say or a
    checkpoint, makes it no copy that stayed one.
    """

    def __init__(self) -> None:
        self._roots: dict[int, tuple[weakref.ref[nn.Module], Root]] = {}
        self._stepped: dict[int, _Stepped] = {}

    def called(self, made: Made, output: Any) -> None:
        """Note the root."""
        if id(made.model) not in self._roots:
            self._roots[id(made.model)] = weakref.ref(made.model), made.root

    def stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Note how the step left each parameter that had a gradient."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None or parameter.dim() < 2:
                    continue
                known = self._stepped.get(id(parameter))
                if known is None or known.ref() is not parameter:
                    known = self._stepped[id(parameter)] = _Stepped(parameter)
                known.steps += 1
                known.version = parameter._version

    def end(self) -> None:
        """Compare, at the last weights."""
        self._found = list(self._compared())

    def facts(self) -> Iterator[Fact]:
        """State the copies, the outermost of nested ones."""
        return iter(self._found)

    def _compared(self) -> Iterator[Copies]:
        alike: dict[Any, list[tuple[int, str, nn.Module, int]]] = defaultdict(list)
        for ref, root in self._roots.values():
            model = ref()
            named = () if model is None else list(model.named_modules())[:_MODULES]
            for path, module in named:
                sight = self._sight(module)
                if sight is not None:
                    alike[sight[0]].append((root.id, path, module, sight[1]))
        told: set[tuple[int, str]] = set()
        groups = [group for group in map(_equal, alike.values()) if len(group) > 1]
        for group in sorted(groups, key=lambda group: min(len(path) for _, path, _, _ in group)):
            if all(_within(told, root, path) for root, path, _, _ in group):
                continue
            told.update((root, path) for root, path, _, _ in group)
            first = group[0][2]
            yield Copies(paths=tuple(path for _, path, _, _ in group), type=type(first).__name__,
                         parameters=sum(p.numel() for p in first.parameters()),
                         steps=min(steps for *_, steps in group))  # fmt: skip

    def _sight(self, module: nn.Module) -> tuple[Any, int] | None:
        """Return what equal modules have in common, and the fewest steps; None where not trained.

        Vectors, which many begin equal, decide nothing: a matrix must have been trained.
        """
        matrices = [p for p in module.parameters() if p.dim() > 1]
        steps = []
        for parameter in matrices:
            known = self._stepped.get(id(parameter))
            if known is None or known.ref() is not parameter:
                return None
            if known.version != parameter._version:
                return None
            steps.append(known.steps)
        if not matrices or not _varies(matrices[0]):
            return None
        shapes = tuple(tuple(p.shape) for p in module.parameters())
        sample = matrices[0].detach().reshape(-1)[:_SAMPLE].tolist()
        return (type(module), shapes, tuple(sample)), min(steps)


def _equal(
    group: list[tuple[int, str, nn.Module, int]]
) -> list[tuple[int, str, nn.Module, int]]:  # fmt: skip
    """Return the first of some modules, and those that equal it without being tied to it."""
    first = list(group[0][2].parameters())
    kept = [group[0]]
    seen = {id(parameter) for parameter in first}
    for each in group[1:]:
        own = list(each[2].parameters())
        apart = seen.isdisjoint([id(parameter) for parameter in own])
        if apart and all(torch.equal(one, two) for one, two in zip(first, own, strict=True)):
            kept.append(each)
            seen.update(id(parameter) for parameter in own)
    return kept


def _varies(matrix: torch.Tensor) -> bool:
    flat = matrix.detach().reshape(-1)[:64]
    return bool((flat != flat[0]).any())


def _within(told: set[tuple[int, str]], root: int, path: str) -> bool:
    """Tell whether a module lies in one that was told."""
    heads = [path[:place] for place, letter in enumerate(path) if letter == "."]
    return any((root, head) in told for head in ["", *heads] if head != path)
